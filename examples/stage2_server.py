# Stage 2, server: receive messages until the client disconnects.
# Still wrong: a second client is not served; one recv is taken for one message
# (coalesced, split); a character split in two is shown as �.
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 30002

server = socket.socket()
try:
    if sys.platform != "win32":  # so that it can be restarted at once
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    print(f"Listening on port {port}. Ctrl-C (Windows: Ctrl-Break) ends it.")
    conn, address = server.accept()
    print("Connected:", address)
    while True:
        data = conn.recv(65535)
        if not data:  # b"": the client has closed the connection
            break
        print("Message:", data.decode(errors="replace"))
    print("Disconnected:", address)
    conn.close()
except (KeyboardInterrupt, OSError) as error:
    print("Stopped:", type(error).__name__, error)
server.close()
