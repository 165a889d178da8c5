# Stage 1, server: receive one message from one client, then end.
# Still wrong:
# - only one message: then both programs end;
# - one recv is taken for one message: of a long one only the first part is received;
# - a character of which only some bytes have arrived is shown as �.
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 30001

server = socket.socket()
try:
    if sys.platform != "win32":  # so that it can be restarted at once
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    print(f"Listening on port {port}. Ctrl-C (Windows: Ctrl-Break) ends it.")
    conn, address = server.accept()  # blocks until a client connects
    print("Connected:", address)
    data = conn.recv(65535)  # blocks until bytes arrive
    print("Message:", data.decode(errors="replace"))
    conn.close()
except (KeyboardInterrupt, OSError) as error:
    print("Stopped:", type(error).__name__, error)
server.close()
