"""Stage 5: rigorous. One log, one lock, one pool.

Members have names, a message is a line, everybody sees the same lines in the same order, and nobody can
stall the room, whatever they do or fail to do.

The idea: the room is a **log**, the bytes of everything said, one line after the other. A member is a socket
and a offset in the log: what lies behind the offset has been sent to it, what lies ahead has not.

- What a member says is added at the end of the log, under the one **lock**. So there is one order.
- The members are shared out among a fixed **pool** of threads. Each waits for all its members at once (a
  selector), and sends each as much of what lies ahead of it as its socket takes, without waiting.
- So a slow member costs a number, not a thread; a busy room sends many lines at once; and memory is bounded
  by the log. A member so slow that the log has forgotten its offset is cut off, and told why.

**Unlike stage 4:**

- On the wire a message is `name：text` and a newline (`protocol.LineDecoder`). The server puts the name
  there: a member is who it said it was first, and no two members have names that a reader could confuse.
- No thread per member, no sending from the speaker's thread, nothing that blocks while the lock is held.
- Who says more than the room can follow is listened to more slowly. Who has vanished is noticed.
- Read `stage5_room` first, the log and its lock. What concerns one connection alone is in `stage5_member`;
  the client is in `stage5_client`.

**Still wrong:** nothing is encrypted, nobody proves who they are, and the log is lost when the server ends.
"""

from chatstages.stage5_pool.client import Client, ask_name, chat, connect
from chatstages.stage5_pool.server import serve

__all__ = ["Client", "ask_name", "chat", "connect", "serve"]
