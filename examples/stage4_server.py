# Stage 4, server: a group chat. What one client sends, every client receives.
# Still wrong: one recv is taken for one message (coalesced, split); two sent at once
# may arrive in different order, long ones mixed; a member that does not read blocks all
# senders; no nicknames; control characters pass unchanged; threads without a limit.
import socket
import sys
from threading import Lock, Thread

members = []
lock = Lock()  # guards members


def broadcast(data):
    with lock:
        everybody = members.copy()  # others join and leave while this thread sends
    for member in everybody:
        try:
            member.sendall(data)
        except OSError:  # that member's own thread removes it
            pass


def handle(conn, address):
    try:
        while data := conn.recv(65535):  # until b"": the client has disconnected
            broadcast(data)
    except ConnectionError:  # the client was killed: it has disconnected, too
        pass
    with lock:
        members.remove(conn)
    conn.close()
    print("Disconnected:", address)


if __name__ == "__main__":
    try:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 30004
        server = socket.create_server(("127.0.0.1", port))  # with bind() and listen()
        print(f"Listening on port {port}. Ctrl-C (Windows: Ctrl-Break) ends it.")
        while True:
            conn, address = server.accept()
            with lock:
                members.append(conn)
            print("Connected:", address)
            Thread(target=handle, args=(conn, address), daemon=True).start()
    except (KeyboardInterrupt, OSError) as error:  # the daemon threads end, too
        print("Stopped:", type(error).__name__, error)
