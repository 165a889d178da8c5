"""A far end that vanishes without a word: in a network of our own, whose only interface is switched off.

    unshare --map-root-user --net python -m tests.support.half_open silent|slow IDLE INTERVAL PROBES

prints the seconds that it took the server to notice. (0 0 0: with the project's own constants; set
CHATSTAGES_PATIENCE, then, so that it waits long enough.)
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import time

from chatstages import stage5_pool
from chatstages.runtime import options
from tests.support import Recorder, fill, raw_client, read_until

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1  # netdevice(7)


def switch_loopback(on: bool) -> None:
    """Switch the interface `lo` on or off."""
    with socket.socket() as sock:
        answer = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", answer)[1]
        flags = flags | IFF_UP if on else flags & ~IFF_UP
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


def main(how: str, idle: int, interval: int, probes: int) -> None:
    """Measure how long a member stays that has vanished, with bytes on their way to it (slow) or without."""
    if idle:
        options.KEEP_IDLE, options.KEEP_INTERVAL, options.KEEP_PROBES = idle, interval, probes
    switch_loopback(True)
    told = Recorder()
    with stage5_pool.serve(on_event=told) as server, raw_client(server.address) as member:
        told.wait("joined")
        member.sendall(b"Ann: here\n")
        read_until(member, b"here\n")
        if how == "slow":  # its own lines come back to it, and it does not read them
            line = b"x" * 4_000 + b"\n"
            fill(member, lambda: sum(len(e.text) for e in told.events if e.kind == "said") > 3_000_000, line)
        switch_loopback(False)
        began = time.monotonic()
        told.wait("left")
        print(time.monotonic() - began)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
