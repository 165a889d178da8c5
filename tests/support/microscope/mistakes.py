"""The classic mistakes: for each a scene, and the line or two of the chat program that make it wrong."""

from __future__ import annotations

from typing import NamedTuple

from tests.support.microscope.chat_program import CHAT, replaced

POOL = (
    """    thread = Thread(target=serve, args=(conn,))
    jobs.append(thread.join)
    thread.start()
""",
    """    jobs.append(pool.submit(serve, conn).result)


pool = ThreadPoolExecutor(8)
""",
)


class Mistake(NamedTuple):
    """A classic mistake: its number in the list of mistakes, the class of its finding, and the code."""

    number: int
    kind: str
    scene: str  # code that follows the program
    change: tuple[tuple[str, str], ...]  # (fixed, broken) code
    both: tuple[tuple[str, str], ...] = ()  # (old, new) code, replaced in both programs
    also: tuple[str, ...] = ()  # what is rightly found in the fixed program

    @property
    def fixed(self) -> str:
        """The program without the mistake."""
        return replaced(CHAT + self.scene, self.both)

    @property
    def broken(self) -> str:
        """The program with the mistake."""
        return replaced(self.fixed, self.change)


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

MISTAKES = [
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
        5,
        "UseAfterClose",
        r"""
close_all(come())
""",
        (("    thread.start()\n\n\ndef come", "    conn.close()\n    thread.start()\n\n\ndef come"),),
    ),
    Mistake(
        6,
        "BusyLoop",
        r"""
ann = come()
ann.sendall(b"hi\n")
close_all(ann)
""",
        (NO_END,),
    ),
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
        13,
        "PoolPerClient",
        r"""
close_all(*[come() for each in range(5)])
pool.shutdown()
""",
        (("pool.submit(serve, conn)", "ThreadPoolExecutor(8).submit(serve, conn)"),),
        both=(POOL,),
    ),
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
    Mistake(
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
