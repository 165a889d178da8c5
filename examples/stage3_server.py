# Stage 3, server: a thread for each client. Still wrong: clients do not receive each
# other's messages; one recv is taken for one message (coalesced, split); a character
# split in two is shown as �; the number of threads has no limit.
import socket
import sys
from threading import Thread


def handle(conn, address):
    try:
        while data := conn.recv(65535):  # until b"": the client has disconnected
            print(address, data.decode(errors="replace"))
    except ConnectionError:  # the client was killed: it has disconnected, too
        pass
    print("Disconnected:", address)
    conn.close()  # the thread that uses a connection closes it


if __name__ == "__main__":
    try:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 30003
        server = socket.create_server(("127.0.0.1", port))  # with bind() and listen()
        print(f"Listening on port {port}. Ctrl-C (Windows: Ctrl-Break) ends it.")
        while True:
            conn, address = server.accept()
            print("Connected:", address)
            Thread(target=handle, args=(conn, address), daemon=True).start()
    except (KeyboardInterrupt, OSError) as error:  # the daemon threads end, too
        print("Stopped:", type(error).__name__, error)
