"""Stage 5: rigorous. One log, one lock, one pool.

Members have names, a message is a line, everybody sees the same lines in the same
order, and nobody can stall the room, whatever they do or fail to do.

The idea: the room is an append-only **log**, the bytes of everything said, one line
after the other. A member is a socket and an **offset** in the log: all that stands
before the offset has been sent to it, and nothing that stands after it.

- What a member says is appended to the log under the one **lock**: so there is one
  order for all.
- A fixed **pool** of worker threads shares the connections. Each worker waits for all
  of its connections at once (a selector, I/O multiplexing), and sends each what stands
  after its offset, as much as its send buffer takes, without blocking.
- So a slow consumer costs a number, not a thread. A busy room sends many lines at
  once. Memory is bounded by the log: a consumer so slow that the log no longer holds
  its offset is disconnected, and told why.

**Unlike stage 4:**

- On the wire a message is `name：text` and a newline, the delimiter. The server puts
  the name there: a member keeps the name that it gave first, and no two members have
  names that a reader could confuse.
- No thread for each member, no sending from the speaker's thread, nothing that blocks
  while the lock is held.
- Backpressure: a member that sends more than the room can follow is throttled. A peer
  that disconnected without FIN is noticed (keepalive).
- A server that stops drains: what has arrived is passed on first.

Read `room` first, the log and its lock; then `member`, what one member says, without
any socket; `connection`, a socket and its state; `worker`, one thread of the pool;
`server`, which accepts; and `client`.

**Still wrong:** nothing is encrypted, nobody proves who they are, and the log is lost
when the server ends.
"""

from chatstages.stage5_pool.client import Client, connect
from chatstages.stage5_pool.server import serve

__all__ = [
    "ECHOES",
    "KEEPS_HISTORY",
    "LEAVE_WORD",
    "NEEDS_NAME",
    "Client",
    "connect",
    "serve",
]

ECHOES = NEEDS_NAME = KEEPS_HISTORY = True  # what this stage can do
LEAVE_WORD = "exit"  # what a person types to leave
