# Stage 4, client: a second thread receives while the main thread waits for input.
# Still wrong: one recv is taken for one message (coalesced, split, a split character is
# �); control characters are shown as they are; a message may land in the line you type.
import socket
import sys
from threading import Thread

leaving = False


def receive(client):
    try:
        while data := client.recv(65535):  # until b"": the connection is closed
            print("[group] " + data.decode(errors="replace"))
    except ConnectionError:  # the server was killed: the connection is closed, too
        pass
    if not leaving:
        print("The server has closed the connection. Press Enter.")


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 30004
    try:
        client = socket.create_connection(("127.0.0.1", port))  # socket(), connect()
    except ConnectionRefusedError:
        sys.exit(f"No server is listening on port {port}. Start the server first.")
    receiver = Thread(target=receive, args=(client,), daemon=True)
    try:
        print("Connected. Type a message and press Enter; exit leaves.")
        receiver.start()  # daemon: the program can end without it
        while receiver.is_alive():
            message = input()
            if message == "exit":
                break
            if message:
                client.sendall(message.encode())
    except (KeyboardInterrupt, EOFError):  # Ctrl-C, or the end of the input
        print()
    except ConnectionError:
        receiver.join(2)  # it prints the line above
    leaving = True
    if receiver.is_alive():
        client.shutdown(socket.SHUT_WR)  # the server's recv returns b"", and it closes
        receiver.join(2)
    client.close()
