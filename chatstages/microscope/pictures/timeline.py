"""Timeline: a bar for each thread, which shows when it ran, was blocked, and held a lock."""

from __future__ import annotations

from chatstages.i18n import _
from chatstages.microscope.findings.wording import told
from chatstages.microscope.model.naming import named
from chatstages.microscope.model.recording import Recording
from chatstages.microscope.pictures.spans import Life, Span, fold, lifetimes, seconds
from chatstages.microscope.pictures.style import MARGIN, WIDTH, Picture, details, frame, missing, parts
from chatstages.svg import LETTER, box, label, shorten, stroke
from chatstages.text import columns

LABELS = 215  # the width of the names in front of the bars
BAR = 26  # the height of a bar; the locks that a thread holds stand below it
GAP = 14
MOST_LIVES = 24  # threads
MOST_SPANS = 500  # of one thread; the longest ones
AT_ONCE = 50_000  # nanoseconds: a lock that was acquired so soon was free
MOST_WORDS = 40  # states of one thread in the text form
TOP = 116


def timeline(recording: Recording, begin: float = 0.0, end: float | None = None) -> Picture:
    """Return what each thread did from `begin` to `end` (seconds on the axis); by default all the time."""
    recording = named(recording)
    lives, last = lifetimes(recording)
    zero = min((life.begin for life in lives), default=0)
    window = zero + int(begin * 1e9), last if end is None else zero + int(end * 1e9)
    shown = [life for life in lives if life.begin < window[1] and life.end >= window[0]]
    notes = missing(recording)
    if len(shown) > MOST_LIVES:
        notes.append(_("{count} threads are left out.").format(count=len(shown) - MOST_LIVES))
        shown = busiest(shown)
    words = "\n".join([*map(describe, shown), *notes]) or _("No thread was seen.")
    return Picture(draw(recording, shown, window, zero, notes), words)


def busiest(lives: list[Life]) -> list[Life]:
    """Return the threads with the most to show, in their order."""
    kept = sorted(lives, key=lambda life: -len(life.spans))[:MOST_LIVES]
    return [life for life in lives if life in kept]


def describe(life: Life) -> str:
    """Return the states of a thread in order, also calls that did not block, since that is chance."""
    words = [
        span.words.replace(_("waits for {lock}").format(lock=""), _("acquires {lock}").format(lock=""))
        if span.state == "lock" and not span.lasts and not span.is_bad
        else span.words
        for span in life.spans
        if span.state != "hold" and not (span.words.startswith("select") and not span.lasts)
    ]
    folded = fold(words)
    left_out = len(folded) - MOST_WORDS
    if left_out > 0:
        folded = [_("… {count} more").format(count=left_out), *folded[-MOST_WORDS:]]
    held = [span.words for span in life.spans if span.state == "hold" and span.lasts]
    still = [_("still blocked")] if any(s.lasts and s.state != "hold" for s in life.spans) else []
    bad = [_("DEADLOCK")] if any(span.is_bad for span in life.spans) else []
    return told(life.thread, " · ".join(folded + held + still + bad))


def draw(
    recording: Recording, shown: list[Life], window: tuple[int, int], zero: int, notes: list[str]
) -> str:
    """Return the picture; its axis begins at `zero`."""
    begin, end = window
    scale = (WIDTH - LABELS - 2 * MARGIN) / max(end - begin, 1)
    left, y = MARGIN + LABELS, float(TOP)
    bottom = TOP + sum(height_of(life) + GAP for life in shown)
    known = parts(recording)
    shapes = legend() + axis(window, zero, left, scale, bottom)
    for life in shown:
        height = height_of(life)
        shapes += [
            label(MARGIN, y + 12, shorten(life.thread, LABELS / LETTER), "b"),
            label(MARGIN, y + 30, shorten(known.get(life.thread, ""), LABELS / LETTER), "soft"),
        ]
        shapes.append(f'<svg x="{left}" y="{y}" width="{WIDTH - left - MARGIN}" height="{height}">')
        shapes += bars(life, begin, end, scale)
        shapes.append("</svg>")
        y += height + GAP
    shapes.append(stroke(left, TOP - 8, left, y, "cursor"))
    for note in notes:
        y += 24
        shapes.append(label(MARGIN, y + 34, note, "soft"))
    more = f' data-zero="{zero}" data-begin="{begin}" data-end="{end}" data-left="{left}"'
    more += f' data-width="{WIDTH - left - MARGIN}"'
    return frame("timeline", _("What each thread did when"), shapes, WIDTH, y + 50, more)


def height_of(life: Life) -> int:
    """Return the height of a thread's bars: two where it has held a lock."""
    return BAR + (BAR - 4 if any(span.state == "hold" for span in life.spans) else 6)


def legend() -> list[str]:
    """Return what the colours mean."""
    shapes, x = [], float(MARGIN)
    entries = [
        ("run", _("running")),
        ("wait", _("blocked")),
        ("send", _("in send")),
        ("lock", _("waits for a lock")),
        ("hold", _("holds a lock")),
        ("bad-fill", _("deadlock")),
    ]
    for style, words in entries:
        shapes += [box(x, 56, 22, 18, style), label(x + 30, 71, words)]
        x += 46 + LETTER * columns(words)
    return shapes


def bars(life: Life, begin: int, end: int, scale: float) -> list[str]:
    """Return the bars of one thread; x is 0 at the left edge of the timeline."""
    shapes = [bar(Span("run", life.begin, life.end, "", 0, None), begin, scale)]
    spans = [span for span in life.spans if span.end >= begin and span.begin <= end]
    spans = [span for span in spans if span.state != "lock" or span.end - span.begin > AT_ONCE]
    if len(spans) > MOST_SPANS:
        longest = sorted(range(len(spans)), key=lambda place: spans[place].begin - spans[place].end)
        spans = [spans[place] for place in sorted(longest[:MOST_SPANS])]
    return shapes + [bar(span, begin, scale) for span in spans]


def bar(span: Span, begin: int, scale: float) -> str:
    """Return one bar, with its words where there is room for them."""
    x, width = (span.begin - begin) * scale, max((span.end - span.begin) * scale, 1.5)
    y, height = (BAR + 2, BAR - 6) if span.state == "hold" else (0, BAR)
    words = told(_("DEADLOCK"), span.words) if span.is_bad else span.words
    style = "bad-fill" if span.is_bad else span.state
    inside = label(x + 6, y + height - 6, words, "held" if style in ("hold", "lock", "bad-fill") else "")
    if not words or columns(words) * LETTER + 10 > width or x < 0:
        inside = inside.replace("<text ", '<text visibility="hidden" ') if words else ""
    times = f' data-b="{span.begin}" data-e="{span.end}"'
    hover = f"{words}\n{seconds(span.end - span.begin)}" + (_(" so far") if span.lasts else "")
    hover += f"\n{details(span.event)}" if span.event else ""
    return f"<g{times}>{box(x, y, width, height, style, hover)}{inside}</g>"


def axis(window: tuple[int, int], zero: int, left: float, scale: float, y: float) -> list[str]:
    """Return the axis of time."""
    begin, end = window
    shapes, step = [], nice((end - begin) / 6)
    tick = zero - (zero - begin) // step * step
    while tick <= end:
        x = left + (tick - begin) * scale
        words = seconds(tick - zero) if tick > zero else "0"
        line = stroke(x, TOP - 8, x, y, "line")
        number = label(min(x, WIDTH - MARGIN - 16), y + 20, words, "soft middle")
        shapes.append(f'<g class="tick" data-b="{tick}">{line}{number}</g>')
        tick += step
    return shapes


def nice(length: float) -> int:
    """Return a step of 1, 2 or 5 that is at least so long."""
    power = 1
    while power * 10 < length:
        power *= 10
    return next(power * n for n in (1, 2, 5, 10) if power * n >= length)
