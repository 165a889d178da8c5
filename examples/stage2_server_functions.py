# Stage 2, server, in functions. Still wrong: a second client is not served; one recv is
# taken for one message (coalesced, split); a character split in two is shown as �.
import socket
import sys


def receive(conn, address):
    while True:
        data = conn.recv(65535)
        if not data:  # b"": the client has closed the connection
            break
        print("Message:", data.decode(errors="replace"))
    print("Disconnected:", address)


def serve(port):
    # The same as socket(), bind() and listen(), and SO_REUSEADDR where it does no harm.
    server = socket.create_server(("127.0.0.1", port))
    print(f"Listening on port {port}. Ctrl-C (Windows: Ctrl-Break) ends it.")
    conn, address = server.accept()
    print("Connected:", address)
    receive(conn, address)
    conn.close()
    server.close()


if __name__ == "__main__":
    try:
        serve(int(sys.argv[1]) if len(sys.argv) > 1 else 30002)
    except (KeyboardInterrupt, OSError) as error:
        print("Stopped:", type(error).__name__, error)
