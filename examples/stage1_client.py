# Stage 1, client: send one message, then end.
# Still wrong:
# - only one message: for the next one, start both programs again;
# - an empty message sends no bytes at all.
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 30001

client = socket.socket()
try:
    client.connect(("127.0.0.1", port))
    message = input("Message: ")
    client.sendall(message.encode())  # a socket sends bytes, not str
except ConnectionRefusedError:
    print(f"No server is listening on port {port}. Start the server first.")
except ConnectionError:
    print("The server has closed the connection.")
except (KeyboardInterrupt, EOFError):  # Ctrl-C, or the end of the input
    print()
client.close()
