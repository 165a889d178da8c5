"""The classic mistakes, as learners write them: a group chat, and for each mistake what makes it wrong.

Each is a whole program, which knows nothing of a microscope. `SLIPS` has the mended one and the wrong one;
they differ in a line or two. In each, `until` waits for what the microscope can see of the other threads, and
`pause` for what it cannot.
"""

from __future__ import annotations

from typing import NamedTuple

CHAT = r"""
from contextlib import suppress
from itertools import count
from socket import (
    SHUT_RDWR, SHUT_WR, SO_RCVBUF, SO_REUSEADDR, SO_SNDBUF, SOL_SOCKET, create_connection, socket
)
from threading import Lock, Thread
from concurrent.futures import ThreadPoolExecutor

SIZE = 4096
lock = Lock()
members, said, jobs, turns = [], [], [], count()


def lines(conn):
    rest = b""
    while True:
        data = conn.recv(SIZE)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def leave(conn):
    with lock:
        if conn in members:
            members.remove(conn)


def tell(line):
    with lock:
        everybody = list(members)
    for member in everybody:
        try:
            member.sendall(line + b"\n")
        except OSError:
            leave(member)


def serve(conn):
    with conn:
        for line in lines(conn):
            said.append(line.decode(errors="replace"))
            tell(line)
        leave(conn)


def open_door(port):
    server = socket()
    server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", port))
    except OSError:
        server.close()
        raise
    server.listen()
    return server


def enter():
    conn, address = door.accept()
    conn.setsockopt(SOL_SOCKET, SO_SNDBUF, 1)
    with lock:
        members.append(conn)
    start(conn)


def start(conn):
    thread = Thread(target=serve, args=(conn,))
    jobs.append(thread.join)
    thread.start()


def come():
    client = create_connection(door.getsockname())
    enter()
    return client


def listen(client, heard):
    for line in lines(client):
        heard.append(line.decode(errors="replace"))


def ear(client):
    thread = Thread(target=listen, args=(client, []))
    thread.start()
    jobs.append(thread.join)


def talk(client, line):
    thread = Thread(target=client.sendall, args=(line,))
    thread.start()
    jobs.append(thread.join)


def hear(client, end):
    heard = data = b" "
    while data and end + b"\n" not in heard:
        data = client.recv(SIZE)
        heard += data


def close_all(*clients):
    for client in clients:
        with suppress(OSError):  # the server has been the first
            client.shutdown(SHUT_WR)
    for client in clients:
        with suppress(OSError):
            while client.recv(SIZE):
                pass
        client.close()
    for job in jobs:
        job()
    door.close()


door = open_door(0)
"""

POOL = (
    """    thread = Thread(target=serve, args=(conn,))
    jobs.append(thread.join)
    thread.start()
""",
    """    jobs.append(pool.submit(serve, conn).result)


pool = ThreadPoolExecutor(8)
""",
)


class Slip(NamedTuple):
    """A mistake: the number that it has in the list of mistakes, what `explain` is to name, and the code."""

    number: int
    kind: str
    scene: str  # what is played, behind the program
    slip: tuple[tuple[str, str], ...]  # what is replaced by what, to make it wrong
    both: tuple[tuple[str, str], ...] = ()  # what is replaced in the right one, too
    also: tuple[str, ...] = ()  # what may be named in the right one, rightly

    @property
    def mended(self) -> str:
        """The program that is right."""
        return replaced(CHAT + self.scene, self.both)

    @property
    def wrong(self) -> str:
        """The program with the mistake."""
        return replaced(self.mended, self.slip)


def replaced(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    """Return `text` with every change made; each must find its place, and only one."""
    for old, new in changes:
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    return text


NO_LINES = (r'*whole, rest = (rest + data).split(b"\n")', "whole = [data]")
NO_END = ("        if not data:\n", "        if not data and next(turns) > 100:  # so that it ends here\n")
STAYS = ("        leave(conn)\n", "")  # who leaves is taken off the list when a send to him fails
TELL = r"""    with lock:
        everybody = list(members)
    for member in everybody:
        try:
            member.sendall(line + b"\n")
        except OSError:
            leave(member)
"""

TELL_UNDER_THE_LOCK = r"""    with lock:
        for member in members:
            member.sendall(line + b"\n")
"""

SLIPS = [
    Slip(
        1,
        "CoalescedMessages",
        r"""
ann = create_connection(door.getsockname())
for text in b"a", b"b", b"c":
    ann.sendall(text + b"\n")
enter()
close_all(ann)
""",
        (NO_LINES, (r'ann.sendall(text + b"\n")', "ann.sendall(text)"), ("            tell(line)\n", "")),
    ),
    Slip(
        2,
        "EmptySend",
        r"""
ann = come()
ann.sendall(b"bye\n")
hear(ann, b"bye")
ann.shutdown(SHUT_WR)  # it ends
close_all(ann)
""",
        (("ann.shutdown(SHUT_WR)  # it ends", "ann.sendall(b'')"),),
    ),
    Slip(
        3,
        "UncaughtException",
        r"""
ann = come()
ann.sendall("你好\n".encode())
close_all(ann)
""",
        (NO_LINES, ('said.append(line.decode(errors="replace"))', "said.append(line.decode())")),
        both=(("SIZE = 4096", "SIZE = 4"),),
    ),
    Slip(
        4,
        "AddressInUse",
        r"""
ann = come()
port = door.getsockname()[1]
members[0].shutdown(SHUT_RDWR)  # the server is the first to end
close_all(ann)
try:
    open_door(port).close()
except OSError:
    pass
""",
        (("    server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)\n", ""),),
    ),
    Slip(
        5,
        "UseAfterClose",
        r"""
close_all(come())
""",
        (("    thread.start()\n\n\ndef come", "    conn.close()\n    thread.start()\n\n\ndef come"),),
    ),
    Slip(
        6,
        "BusyLoop",
        r"""
ann = come()
ann.sendall(b"hi\n")
close_all(ann)
""",
        (NO_END,),
    ),
    Slip(
        7,
        "UnhandledSendError",
        r"""
ann, eve = come(), come()
eve.close()
jobs[1]()
ann.sendall(b"Where is she?\n")
close_all(ann)
""",
        (STAYS, (TELL, '    for member in list(members):\n        member.sendall(line + b"\\n")\n')),
    ),
    Slip(
        8,
        "SkippedRecipient",
        r"""
ann, eve, ben = come(), come(), come()
ann.sendall(b"zero\n")
for client in ann, eve, ben:
    hear(client, b"zero")
eve.close()
jobs[1]()
for text in b"one", b"two":
    ann.sendall(text + b"\n")
    hear(ann, text)
hear(ben, b"two")
close_all(ann, ben)
""",
        (("everybody = list(members)", "everybody = members"),),
        both=(STAYS,),
    ),
    Slip(
        9,
        "UncaughtException",
        r"""
ben, ann = come(), come()  # so ben has got it when ann hears it
ear(ben)
ann.sendall(b"\xff\n")
hear(ann, b"\xff")
ben.shutdown(SHUT_WR)
jobs[-1]()
close_all(ann)
ben.close()
""",
        (('        heard.append(line.decode(errors="replace"))', "        heard.append(line.decode())"),),
    ),
    Slip(
        10,
        "ClosedWhileBlocked",
        r"""
ann = come()
ear(ann)
until("recv", 2)
pause()
ann.shutdown(SHUT_RDWR)
ann.close()
jobs[0]()  # the server has seen it
tell(b"Somebody speaks")
close_all()
""",
        (("ann.shutdown(SHUT_RDWR)\n", ""), ("jobs[0]()  # the server has seen it\n", "")),
    ),
    Slip(
        11,
        "BusyLoop",
        r"""
ann = come()
ear(ann)
members[0].shutdown(SHUT_RDWR)  # the server dies
close_all()
ann.close()
""",
        (NO_END,),
    ),
    Slip(
        12,
        "UnsharedLock",
        r"""
ann, ben = come(), come()
for client in ann, ben:
    client.sendall(b"hi\n")
    hear(client, b"hi")
close_all(ann, ben)
""",
        (("def tell(line):\n", "def tell(line):\n    lock = Lock()\n"),),
    ),
    Slip(
        13,
        "PoolPerClient",
        r"""
close_all(*[come() for each in range(5)])
pool.shutdown()
""",
        (("pool.submit(serve, conn)", "ThreadPoolExecutor(8).submit(serve, conn)"),),
        both=(POOL,),
    ),
    Slip(
        13,
        "ExhaustedPool",
        r"""
ann, ben, eve = come(), come(), come()
until("recv", 2)  # the first two have their workers
eve.sendall(b"Hello?\n")
ann.sendall(b"Welcome!\n")
hear(eve, b"Welcome!")
close_all(ann, ben, eve)
pool.shutdown()
""",
        (("ThreadPoolExecutor(8)", "ThreadPoolExecutor(2)"),),
        both=(POOL,),
    ),
    Slip(
        14,
        "BlockingCallUnderLock",
        r"""
ann, ben = come(), come()
sleeper = socket()
sleeper.setsockopt(SOL_SOCKET, SO_RCVBUF, 1)
sleeper.connect(door.getsockname())
enter()
ear(ann)
ear(ben)
ann.sendall(b"x" * 200_000 + b"\n")
until("send", 1)
ben.sendall(b"Hello?\n")
until("recv", 3)  # nobody waits for the lock
missing = 200_001 + len(b"Hello?\n")
while missing:
    missing -= len(sleeper.recv(SIZE))
ann.shutdown(SHUT_WR)
ben.shutdown(SHUT_WR)
close_all(sleeper)
ann.close()
ben.close()
""",
        (
            (
                TELL,
                '    with lock:\n        for member in members:\n            member.sendall(line + b"\\n")\n',
            ),
            ('until("recv", 3)  # nobody waits for the lock', 'until("acquire", 1)\npause()'),
        ),
        also=("BlockedThread",),  # the sleeper is there still; but nobody else has to wait
    ),
    Slip(
        15,
        "InterleavedMessages",
        r"""
ann, ben, eve = come(), come(), come()
ear(ann)
ear(ben)
ear(eve)
for client, sign in (ann, b"a"), (ben, b"b"):
    talk(client, sign * 200_000 + b"\n")
jobs[-2]()
jobs[-1]()
for client in ann, ben, eve:
    client.shutdown(SHUT_WR)
close_all()
for client in ann, ben, eve:
    client.close()
""",
        (
            NO_LINES,
            (TELL, "    with lock:\n        for member in members:\n            member.sendall(line)\n"),
        ),
    ),
    Slip(
        16,
        "UnreleasedLock",
        r"""
ann = come()
ann.sendall(b"\xff\n")
close_all(ann)
""",
        (
            (
                "    with lock:\n        everybody = list(members)\n",
                "    lock.acquire()\n    everybody = [line.decode() and member for member in members]\n"
                "    lock.release()\n",
            ),
        ),
    ),
    Slip(
        17,
        "ShortWrite",
        r"""
ann = come()
ear(ann)
ann.sendall(b"x" * 200_000 + b"\n")
ann.sendall(b"bye\n")
ann.shutdown(SHUT_WR)
close_all()
ann.close()
""",
        (("member.sendall(", "member.settimeout(20)\n            member.send("),),
    ),
    Slip(
        18,
        "DuplicateNickname",
        r"""
ann, ben = come(), come()
for client, text in (ann, b"No homework"), (ben, b"A lot of homework"):
    client.sendall(b"Teacher: " + text + b"\n")
    hear(ann, text)
    hear(ben, text)
close_all(ann, ben)
""",
        (('tell(b"%d: " % conn.fileno() + line)', "tell(line)"),),
        both=(("tell(line)\n", 'tell(b"%d: " % conn.fileno() + line)\n'),),
    ),
    Slip(
        18,
        "TerminalInjection",
        r"""
ann, ben = come(), come()
ann.sendall(b"Ann\x1b[2J: hello\n")
for client in ann, ben:
    hear(client, b"hello")
close_all(ann, ben)
""",
        (('tell(line.replace(b"\\x1b", b"?"))', "tell(line)"),),
        both=(("tell(line)\n", 'tell(line.replace(b"\\x1b", b"?"))\n'),),
    ),
]

# Not played here, but run, and stopped with Ctrl-C.
STOPPED = r"""
from socket import SHUT_RDWR, create_server
from threading import Thread

door = create_server(("127.0.0.1", 0))
threads = []


def serve(conn):
    with conn:
        while conn.recv(4096):
            pass


try:
    print(door.getsockname()[1], flush=True)
    while True:
        conn, address = door.accept()
        threads.append((Thread(target=serve, args=(conn,)), conn))
        threads[-1][0].start()
        print("joined", flush=True)
finally:
    door.close()
    for thread, conn in threads:
        conn.shutdown(SHUT_RDWR)
        thread.join()
"""
LEFT = STOPPED[: STOPPED.index("finally:")].replace("try:", "if True:")
