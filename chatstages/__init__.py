"""A group chat in five runnable stages: one speaks, everybody receives.

========================  ==========================================================================
stage1_oneshot            one client sends one message, then both sides close
stage2_session            a conversation: the client sends until it leaves
stage3_threads            a thread for each client: many may talk to the server at once
stage4_broadcast          a group: what one member says, every member receives
stage5_pool               rigorous: one pool, one lock, whole lines; nobody can stall the room
========================  ==========================================================================

    with stage4_broadcast.serve(on_event=print) as server:  # print what happens
        ann = stage4_broadcast.connect(server.address)
        ann.send("Hello!")
        ann.close()  # the end of the block stops the server; server.wait() would wait for Ctrl-C

Read them in this order, each from top to bottom. Stages 1 to 4 are one file each, stage 5 is a folder. They
use ``protocol`` (bytes and messages) and ``runtime`` (sockets that can be stopped, servers in the background,
events), and never each other. ``microscope`` shows what happens in any of them, or in your own code.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

STAGES = {
    1: "stage1_oneshot",
    2: "stage2_session",
    3: "stage3_threads",
    4: "stage4_broadcast",
    5: "stage5_pool",
}


def load_stage(number: int) -> ModuleType:
    """Return the module of stage `number`, 1 to 5. Raises KeyError for another number."""
    return import_module(f"chatstages.{STAGES[number]}")
