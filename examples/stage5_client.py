# Stage 5, client: a nickname before each message, a newline behind it.
# Still wrong:
# - the server takes the nickname on trust, whoever uses it already;
# - control characters are shown as they are;
# - a message that arrives while you type is shown in the middle of your line.
import socket
import sys
from threading import Thread

leaving = False


def receive(client):
    buffer = b""
    try:
        while data := client.recv(65535):  # until b"": the connection is closed
            lines = (buffer + data).split(b"\n")
            buffer = lines.pop()  # the beginning of a line whose end has not arrived
            for line in lines:
                print(line.decode(errors="replace"))
    except ConnectionError:  # the server was killed: the connection is closed, too
        pass
    if not leaving:
        print("The server has closed the connection. Press Enter.")


def ask_nickname():
    nickname = ""
    while not nickname:
        nickname = input("Nickname: ").strip()
    return nickname


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 30005
    try:
        client = socket.create_connection(("127.0.0.1", port))  # socket(), connect()
    except ConnectionRefusedError:
        sys.exit(f"No server is listening on port {port}. Start the server first.")
    print("Welcome to the group chat! Enter sends a message; exit leaves.")
    # A daemon thread: if it never ends, it does not keep the program running.
    receiver = Thread(target=receive, args=(client,), daemon=True)
    try:
        nickname = ask_nickname()
        receiver.start()
        while receiver.is_alive():
            message = input()
            if message == "exit":
                break
            if message:
                client.sendall(f"{nickname}：{message}\n".encode())
    except (KeyboardInterrupt, EOFError):  # Ctrl-C, or the end of the input
        print()
    except ConnectionError:
        receiver.join(2)  # it prints the line above
    leaving = True
    if receiver.is_alive():
        client.shutdown(socket.SHUT_WR)  # the server's recv returns b"", and it closes
        receiver.join(2)
    client.close()
