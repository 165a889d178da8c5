"""Pictures of a recording, each as SVG and as text.

- `sequence`: who sent what to whom, each message after its cause
- `timeline`: when each thread ran, was blocked, and held a lock
- `board`: the state of all threads, locks and connections, now or after an event
- `wire`: the bytes of a connection, with every send and recv
- `page`: all of them in one HTML file, with a slider

`rows` and `spans` hold what a sequence and a timeline show, `style` how all of them look.
"""

from chatstages.microscope.pictures.board import board
from chatstages.microscope.pictures.page import page, save_page
from chatstages.microscope.pictures.sequence import sequence
from chatstages.microscope.pictures.style import Picture
from chatstages.microscope.pictures.timeline import timeline
from chatstages.microscope.pictures.wire import wire

__all__ = ["Picture", "board", "page", "save_page", "sequence", "timeline", "wire"]
