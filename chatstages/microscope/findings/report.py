"""The report: all suspicious findings of a recording, sorted, as text and as HTML.

A finding has the numbers of the events that show it, thread, thing, file and line. `str` says it in one
sentence, `advice` what to look at, and the fix. `explain` returns the suspicious ones only; a fact that does
no harm in this recording (framed messages that arrive coalesced) is returned by the function of its kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from html import escape

from chatstages.i18n import _
from chatstages.microscope.findings.connections import (
    UseAfterClose,
    addresses_in_use,
    closed_while_blocked,
    uses_after_close,
)
from chatstages.microscope.findings.evidence import Finding
from chatstages.microscope.findings.locks import (
    BlockingCallUnderLock,
    blocking_calls_under_lock,
    deadlocks,
    self_deadlocks,
    unreleased_locks,
    unshared_locks,
)
from chatstages.microscope.findings.members import (
    duplicate_nicknames,
    skipped_recipients,
    terminal_injections,
)
from chatstages.microscope.findings.messages import (
    coalesced_messages,
    empty_sends,
    interleaved_messages,
    short_writes,
    split_characters,
    split_messages,
)
from chatstages.microscope.findings.pools import exhausted_pools, pools_per_client
from chatstages.microscope.findings.threads import (
    BlockedThread,
    blocked_threads,
    busy_loops,
    lingering_threads,
    uncaught_exceptions,
    unhandled_send_errors,
)
from chatstages.microscope.findings.wording import code, location
from chatstages.microscope.model.naming import named
from chatstages.microscope.model.recording import Recording

STUCK = 0.3  # seconds; a send that is blocked for longer has met a slow consumer


class Explanation:
    """The suspicious findings of a recording, the worst first. It is false where there are none."""

    def __init__(self, findings: Iterable[Finding], dropped: int) -> None:
        self._findings, self._dropped = list(findings), dropped

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def __len__(self) -> int:
        return len(self._findings)

    def __repr__(self) -> str:
        lines = []
        for sentence, where, source, advice in self._paragraphs():
            lines += [f"⚠ {sentence}", f"  {where}" + (f"  {source}" if source else ""), f"  → {advice}"]
        return "\n".join(lines + self._remarks())

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        rows = []
        for sentence, where, source, advice in self._paragraphs():
            shown = f" <code>{escape(source)}</code>" if source else ""
            rows.append(
                f'<li style="margin:0 0 .7em"><b>⚠ {escape(sentence)}</b><br>'
                f'<span style="opacity:.75">{escape(where)}</span>{shown}<br>→ {escape(advice)}</li>'
            )
        body = f'<ul style="list-style:none;padding:0;line-height:1.5">{"".join(rows)}</ul>' if rows else ""
        body += "".join(f"<p>{escape(remark)}</p>" for remark in self._remarks())
        return {"text/plain": repr(self), "text/html": body}

    def _paragraphs(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield for each kind of finding: its sentence, its line, the source of that line, and the advice."""
        kinds: dict[type, list[Finding]] = defaultdict(list)
        for finding in self._findings:
            kinds[type(finding)].append(finding)
        for first, *more in kinds.values():
            sentence = _("{sentence}.").format(sentence=first)
            if more:
                also = _("{sentence} (And {count} more like it.)")
                sentence = also.format(sentence=sentence, count=len(more))
            where = location(first.file, first.line)
            yield sentence, where, code(first.file, first.line), first.advice

    def _remarks(self) -> list[str]:
        remarks = [] if self._findings else [_("Nothing suspicious.")]
        if self._dropped:
            remarks.append(dropped_events(self._dropped))
        return remarks


def dropped_events(count: int) -> str:
    """Return the sentence that says how many events the recording has dropped."""
    return _("{count} older events were dropped.").format(count=count)


def explain(recording: Recording) -> Explanation:
    """Return the suspicious findings of the recording, the worst first."""
    recording = named(recording)
    found: list[Finding] = [
        *deadlocks(recording),
        *self_deadlocks(recording),
        *blocking_calls_under_lock(recording),
        *unreleased_locks(recording),
        *unshared_locks(recording),
        *exhausted_pools(recording),
        *pools_per_client(recording),
        *busy_loops(recording),
        *uses_after_close(recording),
        *unhandled_send_errors(recording),
        *skipped_recipients(recording),
        *lingering_threads(recording),
        *addresses_in_use(recording),
    ]
    given_away = {finding.thing for finding in found if isinstance(finding, UseAfterClose)}
    found += [each for each in closed_while_blocked(recording) if each.thing not in given_away]
    known = {(finding.thread, number) for finding in found for number in finding.events}
    users = {finding.user for finding in found if isinstance(finding, UseAfterClose)}
    for broken in uncaught_exceptions(recording):
        if broken.thread not in users and not any((broken.thread, n) in known for n in broken.events):
            found.append(broken)
    if not any(
        isinstance(finding, BlockingCallUnderLock) for finding in found
    ):  # that explains the other blocked threads
        found += [wait for wait in stuck(recording) if not any(wait.thread == f.thread for f in found)]
    found += [*interleaved_messages(recording), *short_writes(recording)]
    found += [*duplicate_nicknames(recording), *terminal_injections(recording)]
    found += [cut for cut in split_characters(recording) if not cut.is_framed]
    found += [each for each in coalesced_messages(recording) if not each.is_framed]
    found += [each for each in split_messages(recording) if not each.is_framed]
    found += empty_sends(recording)
    return Explanation(found, recording.dropped)


def stuck(recording: Recording) -> list[BlockedThread]:
    """Return the threads that were blocked in send for long; to be blocked in recv or accept is normal."""
    return [wait for wait in blocked_threads(recording, STUCK) if wait.kind == "send"]
