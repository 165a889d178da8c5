# Stage 5, server: whole lines, one log, an offset for each member, one selector.
# Still wrong:
# - a nickname is whatever the client writes: two members may use the same one;
# - control characters are passed on as they are;
# - a client that sends no newline is not heard;
# - the log grows without a limit, and is lost when the server ends.
import selectors
import socket
import sys

MAX_LINE = 4096  # bytes

log = []  # every line since the server was started, as bytes
members = []
selector = selectors.DefaultSelector()


class Member:
    def __init__(self, conn, address):
        self.conn = conn
        self.address = address
        self.offset = len(log)  # which line of the log to send next
        self.sent = 0  # how many bytes of that line have been sent
        self.buffer = b""  # the beginning of a line whose end has not arrived


def join(server):
    conn, address = server.accept()
    conn.setblocking(False)  # recv and send do not wait: they raise BlockingIOError
    member = Member(conn, address)
    members.append(member)
    selector.register(conn, selectors.EVENT_READ, member)
    print("Connected:", address)


def leave(member):
    members.remove(member)
    selector.unregister(member.conn)
    member.conn.close()
    print("Disconnected:", member.address)


def receive(member):
    try:
        data = member.conn.recv(65535)
    except BlockingIOError:  # nothing has arrived: it was ready for sending only
        return
    except ConnectionError:  # the client was killed
        data = b""
    lines = (member.buffer + data).split(b"\n")
    if not data or max(len(line) for line in lines) > MAX_LINE:
        leave(member)
        return
    member.buffer = lines.pop()  # what stands behind the last newline
    for line in lines:
        log.append(line + b"\n")


def send(member):
    events = selectors.EVENT_READ
    while member.offset < len(log):
        line = log[member.offset]
        try:
            member.sent += member.conn.send(line[member.sent :])
        except BlockingIOError:  # its send buffer is full: go on when there is room
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
            break
        except ConnectionError:  # recv notices it, too, and the member leaves
            break
        if member.sent == len(line):
            member.offset += 1
            member.sent = 0
    selector.modify(member.conn, events, member)


if __name__ == "__main__":
    try:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 30005
        server = socket.create_server(("127.0.0.1", port))
        selector.register(server, selectors.EVENT_READ)
        print(f"Listening on port {port}. Ctrl-C ends the server.")
        while True:
            # With a time limit, so that Ctrl-C is noticed on Windows, too.
            for key, _events in selector.select(1):
                if key.fileobj is server:
                    join(server)
                else:
                    receive(key.data)
            for member in members:
                send(member)
    except (KeyboardInterrupt, OSError) as error:
        print("Stopped:", type(error).__name__, error)
