# Stage 2, client: send messages until an empty line is typed.
# Still wrong: nothing marks where a message ends; the client does not receive,
# so it notices that the server has ended only when it sends.
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 30002

client = socket.socket()
try:
    client.connect(("127.0.0.1", port))
    while True:
        message = input("Message (an empty line leaves): ")
        if not message:
            break
        client.sendall(message.encode())
except ConnectionRefusedError:
    print(f"No server is listening on port {port}. Start the server first.")
except ConnectionError:
    print("The server has closed the connection.")
except (KeyboardInterrupt, EOFError):  # Ctrl-C, or the end of the input
    print()
client.close()  # the server's recv now returns b""
