"""Wire: the bytes of a connection, in hex and as text, with every send, recv and split character."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from chatstages.i18n import _
from chatstages.microscope.model.naming import named
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.streams import Stream, character_splits, streams
from chatstages.microscope.pictures.style import MARGIN, TOP, Picture, details, frame, group, missing
from chatstages.svg import box, label, stroke
from chatstages.text import clean

PER_ROW = 16  # bytes
CELL, ROW = 45, 92  # the width of a byte, and the height of a row of them
LEFT = MARGIN + 70  # behind the numbers of the rows
MOST_ROWS = 16  # of one stream: the first ones, and those with split characters or edges of sends and recvs
MOST_STREAMS = 8


class Byte(NamedTuple):
    """One byte of a stream."""

    offset: int
    value: int
    character: str  # that begins at this byte; "" inside a character
    wide: int  # the number of bytes of that character
    send: TraceEvent | None
    recv: TraceEvent | None
    is_cut: bool

    @property
    def is_second_half(self) -> bool:
        """Whether it came with another recv than the byte before it, which is of the same character."""
        is_first = self.recv is not None and self.recv.offset == self.offset
        return self.is_cut and not self.character and is_first


def wire(recording: Recording, connection: str = "") -> Picture:
    """Return the bytes of every stream, or only of those to and from the socket `connection`."""
    recording = named(recording)
    found = [stream for stream in streams(recording) if connection in ("", stream.sender, stream.receiver)]
    shapes, words, y = list[str](), list[str](), float(TOP)
    for stream in found[:MOST_STREAMS]:
        picture, text, height = show(stream, y)
        shapes += picture
        words += text
        y += height
    notes = missing(recording)
    if len(found) > MOST_STREAMS:
        notes.append(_("{count} more streams are left out.").format(count=len(found) - MOST_STREAMS))
    for note in notes:
        y += 24
        shapes.append(label(MARGIN, y, note, "soft"))
    width = LEFT + PER_ROW * CELL + MARGIN
    drawn = frame("wire", _("What went over the wire"), shapes, width, y + 20)
    return Picture(drawn, "\n".join(words + notes) or _("Nothing was sent."))


def show(stream: Stream, y: float) -> tuple[list[str], list[str], float]:
    """Return one stream: shapes from `y` on, lines of text, and the height."""
    title = _("{sender} → {receiver}: {count:,} bytes; sends: {sends}, recvs: {recvs}").format(
        sender=stream.sender or "…",
        receiver=stream.receiver or "…",
        count=sum(len(data) for _place, data in stream.data),
        sends=len(stream.sends),
        recvs=len(stream.recvs),
    )
    shapes, words, height = [label(MARGIN, y + 14, title, "b")], [title], 34.0
    previous = None
    for start, row in pick(stream):
        if previous is not None and start > previous + PER_ROW:
            gap = _("⋯ {count:,} bytes").format(count=start - previous - PER_ROW)
            shapes.append(label(LEFT, y + height + 10, gap, "soft"))
            words.append(f"  {gap}")
            height += 26
        shapes += draw_row(start, row, y + height)
        if previous is None:  # once is enough
            shapes.append(label(LEFT - 14, y + height + 12, _("sends"), "end odd-one"))
            shapes.append(label(LEFT - 14, y + height + 80, _("recvs"), "end odd-text"))
        words += write_row(start, row)
        height += ROW
        previous = start
    total = max(offset + len(data) for offset, data in stream.data)
    if previous is not None and total > previous + PER_ROW:
        gap = _("⋯ {count:,} bytes").format(count=total - previous - PER_ROW)
        shapes.append(label(LEFT, y + height + 10, gap, "soft"))
        words.append(f"  {gap}")
        height += 26
    cuts = character_splits(stream)
    for cut in cuts:
        sentence = _("{character} at offset {offset} was split")
        words.append(f"  ✂ {sentence.format(character=cut.character, offset=cut.offset)}")
    for text in words[len(words) - len(cuts) :][:MOST_ROWS]:
        shapes.append(label(LEFT, y + height + 14, text.strip(), "odd-text b"))
        height += 26
    return shapes, words, height + 16


def pick(stream: Stream) -> list[tuple[int, list[Byte]]]:
    """Return the rows to show, each with the offset of its first byte: all, or those with most to tell."""
    marked = {
        offset for cut in character_splits(stream) for offset in range(cut.offset, cut.offset + cut.length)
    }
    wanted = list(itertools.islice(starts(stream), MOST_ROWS + 1))
    if len(wanted) > MOST_ROWS:
        edges = sorted(event.offset for event in (*stream.sends, *stream.recvs))
        telling = [*wanted[:2], *(row_of(offset) for offset in (*sorted(marked), *edges))]
        wanted = list(dict.fromkeys([*telling, *wanted]))[:MOST_ROWS]
    return [(row, cells(stream, row, marked)) for row in sorted(wanted)]


def row_of(offset: int) -> int:
    """Return the offset of the first byte of the row that contains the byte at `offset`."""
    return offset // PER_ROW * PER_ROW


def starts(stream: Stream) -> Iterator[int]:
    """Yield the offsets of the rows with known bytes, each once."""
    following = 0
    for offset, data in stream.data:
        for row in range(max(row_of(offset), following), offset + len(data), PER_ROW):
            yield row
            following = row + PER_ROW


def cells(stream: Stream, start: int, marked: set[int]) -> list[Byte]:
    """Return the bytes of one row."""
    found = []
    values = known(stream, start - 3, start + PER_ROW + 3)
    for offset in range(start, start + PER_ROW):
        if offset in values:
            character, wide = letter(values, offset)
            send, recv = carrier(stream.sends, offset), carrier(stream.recvs, offset)
            found.append(Byte(offset, values[offset], character, wide, send, recv, offset in marked))
    return found


def known(stream: Stream, begin: int, end: int) -> dict[int, int]:
    """Return the bytes from `begin` to `end` that are known, by offset."""
    events, found = stream.sends or stream.recvs, {}
    for offset in range(begin, end):
        event = carrier(events, offset)
        if event is not None:
            found[offset] = event.data[offset - event.offset]
    return found


def letter(values: dict[int, int], offset: int) -> tuple[str, int]:
    """Return the character that begins at that offset, and its length in bytes; "" inside of one."""
    first = values[offset]
    if 0x80 <= first < 0xC0:
        for back in (1, 2, 3):
            if letter_at(values, offset - back)[1] > back:
                return "", 1
    return letter_at(values, offset)


def letter_at(values: dict[int, int], offset: int) -> tuple[str, int]:
    """Return the character at that offset, or the replacement for what is none."""
    first = values.get(offset, 0)
    length = 1 + (first >= 0xC2) + (first >= 0xE0) + (first >= 0xF0)
    try:
        text = bytes(values.get(offset + n, 0xFF) for n in range(length)).decode()
    except UnicodeDecodeError:
        return "\ufffd", 1
    return {"\n": "⏎", "\t": "⇥", " ": "␣"}.get(text, clean(text)), length


def carrier(events: list[TraceEvent], offset: int) -> TraceEvent | None:
    """Return the send, or recv, that carried the byte at that offset."""
    number = bisect_right(events, offset, key=lambda event: event.offset) - 1
    event = events[number] if number >= 0 else None
    return event if event and offset < event.offset + len(event.data) else None


def draw_row(start: int, row: list[Byte], y: float) -> list[str]:
    """Return a row of bytes: the sends above, the recvs below."""
    shapes = [label(LEFT - 14, y + 36, f"{start}", "soft end mono")]
    shapes += bands([(byte.offset, byte.send) for byte in row], start, y + 4, "one")
    shapes += bands([(byte.offset, byte.recv) for byte in row], start, y + 70, "two")
    for event, same in groupby(row, lambda byte: byte.send or byte.recv):
        inside = "".join(draw_byte(byte, LEFT + (byte.offset - start) * CELL, y) for byte in same)
        shapes.append(f'<g data-n="{event.number if event else 0}">{inside}</g>')
    return shapes


def draw_byte(byte: Byte, x: float, y: float) -> str:
    """Return a byte as a number, and the character that begins there."""
    back = box(x + 1, y + 17, CELL - 2, 50, "mark") if byte.is_cut else ""
    letter = label(x + CELL / 2, y + 59, byte.character, "middle b") if byte.character else ""
    number = label(x + CELL / 2, y + 36, f"{byte.value:02x}", "middle mono soft")
    return back + number + letter + (draw_cut(x, y) if byte.is_second_half else "")


def draw_cut(x: float, y: float) -> str:
    """Return the mark before a byte with which the second half of a split character begins."""
    return stroke(x, y + 14, x, y + 70, "line cut") + label(x, y + 60, "✂", "middle odd-text halo")


def bands(carriers: list[tuple[int, TraceEvent | None]], start: int, y: float, style: str) -> list[str]:
    """Return a band over (or under) the bytes of each send (or recv), with gaps where one begins or ends."""
    shapes = []
    for event, same in groupby(carriers, lambda entry: entry[1]):
        offsets = [offset for offset, _event in same]
        if event is None:
            continue
        ends_here = offsets[-1] == event.offset + len(event.data) - 1
        begin = LEFT + (offsets[0] - start) * CELL + (4 if offsets[0] == event.offset else 0)
        end = LEFT + (offsets[-1] + 1 - start) * CELL - (4 if ends_here else 0)
        shapes.append(group(event.number, box(begin, y, end - begin, 8, style), hover=details(event)))
    return shapes


def write_row(start: int, row: list[Byte]) -> list[str]:
    """Return a row as text. Before a byte: ╷ a send begins, ╵ a recv begins, │ both."""
    numbers = letters = ""
    for byte in row:
        is_sent = byte.send is not None and byte.offset == byte.send.offset
        is_received = byte.recv is not None and byte.offset == byte.recv.offset
        edge = " ╷╵│"[is_sent + 2 * is_received]
        numbers += f"{edge}{byte.value:02x}"
        letters += (edge if edge != " " else "") + byte.character
    return [f"  {start:6} {numbers:<{3 * PER_ROW}}  {letters}".rstrip()]
