"""The least Python that passes lines on: what stage 5 cannot undercut.

One selector, and the bound `recv` and `send` of each socket. It puts no names on lines and looks at
nothing; what arrives it sends to everybody, and waits for one who does not read.
"""

import selectors
import socket
from collections.abc import Callable

selector = selectors.DefaultSelector()
server = socket.create_server(("127.0.0.1", 0), backlog=1_024)
selector.register(server, selectors.EVENT_READ)
sends: dict[object, Callable[[bytes], int]] = {}  # how to send to each member
print(*server.getsockname(), flush=True)
while True:
    said = []
    for key, _events in selector.select():
        if key.data is None:
            conn, _address = server.accept()
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(conn, selectors.EVENT_READ, conn.recv)
            sends[conn] = conn.send
        elif data := key.data(2_048):
            said.append(data)
        else:
            selector.unregister(key.fileobj)
            sends.pop(key.fileobj)
    if said:
        lines = b"".join(said)
        for send in sends.values():
            send(lines)
