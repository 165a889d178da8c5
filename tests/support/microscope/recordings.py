"""Recordings written by hand, at given times, as if a microscope had seen it: no socket, no thread."""

from __future__ import annotations

from chatstages.microscope.model.recording import OngoingCall, Recording, TraceKind

MS = 1_000_000  # nanoseconds


class Script(Recording):
    """A recording with a clock of its own: each step takes 1 ms, unless told otherwise."""

    def __init__(self, max_events: int = 1_000) -> None:
        super().__init__(max_events)
        self.clock = 0
        self._offsets: dict[tuple[str, str], int] = {}
        self.new_thing("thread", "main", name="MainThread")

    def now(self) -> int:
        """Return the time of the script."""
        return self.clock

    def step(self, thread: str, kind: TraceKind, thing: str = "", takes: int = 1, **facts: object) -> int:
        """Let something happen that takes so many ms; return the number of its event."""
        began = self.clock
        self.clock += takes * MS
        return self.happen(thread, kind, thing, began, **facts)

    def happen(self, thread: str, kind: TraceKind, thing: str, began: int, **facts: object) -> int:
        """Let something end now that began earlier."""
        data = facts.get("data", b"")
        assert isinstance(data, bytes)
        if kind in ("send", "recv"):
            facts["offset"] = self._offsets.get((kind, thing), 0)
            self._offsets[kind, thing] = self._offsets.get((kind, thing), 0) + len(data)
            sock = self._things[thing]
            sock.sent += len(data) * (kind == "send")
            sock.received += len(data) * (kind == "recv")
        facts = {"file": "chat.py", "line": 10, "function": "work"} | facts
        self.add(thread, kind, began, thing=thing, **facts)  # type: ignore[arg-type]
        return self._next - 1

    def stuck(
        self, thread: str, kind: TraceKind, thing: str, line: int = 10, detail: str = "", size: int = 0
    ) -> None:
        """Let something begin that does not end."""
        self.begin_call(thread, OngoingCall(kind, thing, self.clock, "chat.py", line, "work", detail, size))

    def thread(self, name: str = "") -> str:
        """Start a thread; return its label."""
        return self.new_thing("thread", name=name).label

    def lock(self, line: int = 5, file: str = "chat.py", maker: str = "main") -> str:
        """Make a lock; return its label."""
        return self.new_thing("lock", file=file, line=line, maker=maker).label

    def listener(self) -> str:
        """Make a socket that listens; return its label."""
        return self.new_thing("socket", role="listener").label

    def connect(self, listener: str, thread: str = "main", server_thread: str = "main") -> tuple[str, str]:
        """Let a client connect; return the labels of its socket and of the server's."""
        client = self.new_thing("socket", role="client")
        server = self.new_thing("socket", role="server", peer=client.label)
        client.peer = server.label
        self.step(thread, "connect", client.label)
        self.step(server_thread, "accept", listener, other=server.label)
        return client.label, server.label

    def take(self, thread: str, lock: str, takes: int = 0, line: int = 20, **facts: object) -> int:
        """Let a thread get a lock."""
        number = self.step(thread, "acquire", lock, takes, line=line, **facts)
        self.set_holder(lock, thread)
        return number

    def give(self, thread: str, lock: str) -> int:
        """Let a thread give a lock back."""
        _holder, since = self.clear_holder(lock)
        return self.happen(thread, "release", lock, since)


def chat(script: Script) -> tuple[list[str], list[tuple[str, str]]]:
    """Write how a server starts, and two clients come, each with a thread of the server; return these."""
    script.step("main", "bind", listener := script.listener())
    pairs = [script.connect(listener), script.connect(listener)]
    return [script.thread("handle"), script.thread("handle")], pairs


def calm() -> Script:
    """Write a conversation in which nothing is wrong."""
    script = Script()
    (one, two), ((ann, ann_there), (ben, ben_there)) = chat(script)
    for thread, client, server in ((one, ann, ann_there), (two, ben, ben_there)):
        script.step("main", "send", client, data="你好".encode())
        script.step(thread, "recv", server, data="你好".encode())
        lock = script.lock() if thread == one else "lock 1"
        script.take(thread, lock)
        script.give(thread, lock)
        for other, here in ((ann_there, ann), (ben_there, ben)):
            script.step(thread, "send", other, data="你好".encode())
            script.step("main", "recv", here, data="你好".encode())
    script.step("main", "close", ann)
    script.step(one, "recv", ann_there)
    script.step(one, "close", ann_there)
    script.step(one, "run", "", takes=0)
    return script


def merged() -> Script:
    """Write three sends that arrive as one, and one that arrives as three; a character is cut."""
    script = Script()
    (one, _two), ((ann, ann_there), _ben) = chat(script)
    for text in (b"a", b"b", b"c"):
        script.step("main", "send", ann, data=text)
    script.step(one, "recv", ann_there, data=b"abc")
    script.step("main", "send", ann, data="大家好".encode())
    for piece in ("大家好".encode()[:2], "大家好".encode()[2:4], "大家好".encode()[4:]):
        script.step(one, "recv", ann_there, data=piece)
    return script


def crossed() -> Script:
    """Write two threads that wait for each other for ever."""
    script = Script()
    one, two = script.thread("transfer"), script.thread("transfer")
    left, right = script.lock(5), script.lock(6)
    script.take(one, left, line=20)
    script.take(two, right, line=30)
    script.clock += 5 * MS
    script.stuck(one, "acquire", right, line=21)
    script.clock += 5 * MS
    script.stuck(two, "acquire", left, line=31)
    script.clock += 500 * MS
    return script


def frozen() -> Script:
    """Write a sender who holds the lock while a member does not read; another waits for the lock."""
    script = Script()
    (one, two), ((ann, ann_there), (_ben, ben_there)) = chat(script)
    lock = script.lock()
    script.step("main", "send", ann, data=b"x" * 70_000)
    script.step(one, "recv", ann_there, data=b"x" * 70_000)
    script.take(one, lock)
    script.stuck(one, "send", ben_there, line=22, size=70_000)
    script.step("main", "send", _ben, data=b"Hello?")
    script.step(two, "recv", ben_there, data=b"Hello?")
    script.stuck(two, "acquire", lock, line=20)
    script.clock += 2_000 * MS
    return script


def group(size: int) -> tuple[Script, list[str], list[tuple[str, str]]]:
    """Write how a server starts, and so many clients come, each listened to by a thread of its own."""
    script = Script()
    listener = script.listener()
    pairs = [script.connect(listener) for _each in range(size)]
    threads = [script.thread("handle") for _each in pairs]
    for thread, (client, server) in zip(threads, pairs, strict=True):
        script.step("main", "send", client, data=b"!\n")
        script.step(thread, "recv", server, data=b"!\n")
    return script, threads, pairs


def many_messages(count: int) -> Script:
    """Write so many messages, each with its number."""
    script = Script(max_events=10_000)
    _threads, ((ann, there), _ben) = chat(script)
    for number in range(count):
        for kind, sock in (("send", ann), ("recv", there)):
            script.step("main", kind, sock, data=b"<%d>" % number)  # type: ignore[arg-type]
    return script
