"""A group chat in five runnable stages: one speaks, everybody receives.

========================  ==========================================================================
stage1_oneshot            one client sends one message, then both sides close
stage2_session            a conversation: the client sends until it leaves
stage3_threads            a thread for each client: many may talk to the server at once
stage4_broadcast          a group: what one member says, every member receives
stage5_pool               rigorous: one pool, one lock, whole lines; nobody can stall the room
========================  ==========================================================================

Read them in this order; each is one file, top to bottom. They import ``wire`` (bytes and text),
``listener`` (stopping a blocked call) and ``events`` (telling what happens), and nothing else of ours.
(Stage 5 is four files: its room, its member and its client stand beside it.) ``microscope`` shows what
happens in any of them, or in your own code.
"""

__version__ = "0.1.0"
