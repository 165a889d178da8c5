"""A page: all pictures of a recording in one HTML file that needs no network, with a slider."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from chatstages.i18n import _, language
from chatstages.microscope.findings import explain
from chatstages.microscope.findings.wording import place, told
from chatstages.microscope.model.naming import named
from chatstages.microscope.model.recording import Recording, TraceEvent
from chatstages.microscope.model.snapshot import History
from chatstages.microscope.pictures.board import board, show
from chatstages.microscope.pictures.sequence import sequence
from chatstages.microscope.pictures.style import STYLE, missing, said
from chatstages.microscope.pictures.timeline import timeline
from chatstages.microscope.pictures.wire import wire

MOST_STEPS = 300  # the newest steps; the page holds a board for each
SILENT = ("select", "settimeout", "run")  # the slider does not stop at these

HERE = Path(__file__).parent
PAGE_STYLE = (HERE / "page.css").read_text(encoding="utf-8")
SCRIPT = (HERE / "page.js").read_text(encoding="utf-8")


def page(recording: Recording) -> str:
    """Return a page of HTML with every picture of the recording; it loads nothing from anywhere."""
    recording = named(recording)
    steps = choose_steps(recording)
    left_out = len([event for event in recording.events if event.kind not in SILENT]) - len(steps)
    notes = missing(recording)
    if left_out:
        notes.append(_("The slider holds the last {count} steps.").format(count=len(steps)))
    last = {
        "sequence": sequence(recording),
        "endpoints": sequence(recording, lanes="endpoints"),
        "timeline": timeline(recording),
        "board": board(recording),
        "wire": wire(recording),
    }
    titles = {
        "sequence": _("Sequence, a lane for each thread"),
        "endpoints": _("Sequence, a lane for each endpoint"),
        "timeline": _("Timeline"),
        "board": _("Board"),
        "wire": _("Wire"),
    }
    shown = explain(recording)._repr_mimebundle_()["text/html"]
    heading = escape(_("What to look at"))
    sections = [f"<h2>{heading}</h2>{shown}"]
    for name, picture in last.items():
        tools = zoom() if name == "timeline" else ""
        sections.append(
            f'<h2>{escape(titles[name])}</h2>{tools}<section id="{name}">{picture.shapes}</section>'
        )
    title = escape(_("Under the microscope"))
    head = (
        f'<!doctype html><html lang="{language()[:2]}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{STYLE}{PAGE_STYLE}</style>"
    )
    body = f'<body class="cs-scope"><h1>{title}</h1>'
    body += "".join(f"<p>{escape(note)}</p>" for note in notes) + bar(len(steps)) + "".join(sections)
    data = json.dumps(facts(recording, steps), ensure_ascii=False).replace("</", "<\\/")
    scripts = f'<script type="application/json" id="steps">{data}</script><script>{SCRIPT}</script>'
    return f"{head}{body}{scripts}</body></html>\n"


def save_page(recording: Recording, path: str | Path) -> None:
    """Write the page to a file."""
    Path(path).write_text(page(recording), encoding="utf-8")


def choose_steps(recording: Recording) -> list[TraceEvent]:
    """Return the events at which the slider stops."""
    return [event for event in recording.events if event.kind not in SILENT][-MOST_STEPS:]


def facts(recording: Recording, steps: list[TraceEvent]) -> list[dict[str, object]]:
    """Return, for the script of the page, the number, time, text and board of each step."""
    history = History(recording)
    return [
        {
            "number": event.number,
            "time": event.ended,
            "words": f"{place_in(steps, event)}  {tell(event)}",
            "board": show(recording, history.at(event.number)).shapes,
        }
        for event in steps
    ]


def place_in(steps: list[TraceEvent], event: TraceEvent) -> str:
    """Return the number of the step, from 1."""
    return f"{event.number - steps[0].number + 1}."


def tell(event: TraceEvent) -> str:
    """Return an event as one line."""
    text = f" “{said(event.data, 60)}”" if event.data else ""
    error = f" ✗ {event.error}" if event.error else ""
    where = f"  ({place(event.file, event.line)})" if event.file else ""
    return told(event.thread, f"{event.kind} {event.thing}{text}{error}{where}")


def bar(steps: int) -> str:
    """Return the slider with its buttons; it stands at the last step."""
    last, play, step = max(steps - 1, 0), escape(_("Play")), escape(_("Step"))
    return (
        f'<div id="bar"><button id="play">▶ {play}</button><button id="back">◀</button>'
        f'<input id="step" type="range" min="0" max="{last}" value="{last}" aria-label="{step}">'
        f'<button id="next">▶|</button><div id="said" role="status"></div></div>'
    )


def zoom() -> str:
    """Return the buttons that zoom the timeline."""
    whole, how = escape(_("All")), escape(_("The wheel looks closer, too; drag to move."))
    return (
        f'<p><button id="closer">＋</button> <button id="farther">－</button> '
        f'<button id="whole">{whole}</button> {how}</p>'
    )
