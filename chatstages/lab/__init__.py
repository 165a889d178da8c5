"""What a notebook uses: servers that run inside the kernel, and chat clients to click in.

    from chatstages.lab import finish, join, row, speak, start

    server = start(4)                               # the server of stage 4, in threads, on a free port
    ann, ben = join(server, "Ann"), join(server, "Ben")
    row(server, ann, ben)                           # side by side
    ann.say("Hello!")
    ben.wait_for("Hello!")
    finish()                                        # stops everything, and says that all was well

`join("127.0.0.1:31004", "Ann")` puts the same window before any other server, your own, too.

Every cell may be run again, and all of them: what a cell had started before is replaced. Needs the
`lab` extra.
"""

from chatstages.lab.chat_client import ChatClient
from chatstages.lab.chat_server import ChatServer
from chatstages.lab.comparison import compare
from chatstages.lab.quiz import ask
from chatstages.lab.reading import source
from chatstages.lab.rig import attempt, failures, finish, join, silent_reader, speak, start, terminal
from chatstages.lab.sketches import sketch
from chatstages.lab.terminal import Terminal
from chatstages.lab.widgets import row
from chatstages.runtime import free_port

__all__ = [
    "ChatClient",
    "ChatServer",
    "Terminal",
    "ask",
    "attempt",
    "compare",
    "failures",
    "finish",
    "free_port",
    "join",
    "row",
    "silent_reader",
    "sketch",
    "source",
    "speak",
    "start",
    "terminal",
]
