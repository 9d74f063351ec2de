"""Exact replay: the engine is run again over the recorded stimuli at their recorded times, and the journals are compared.

A row without a cause is a stimulus, a timer, or what the engine does by itself. Stimuli are handed in again; all else must come
out as it was recorded, row by row: messages, requests, what was fed, cancels, what the device was told. So a change of code shows
at the first thing that it changes.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from pathlib import Path

from flowkit.clock import monotonic_us
from flowkit.engine import Engine, Fate, Row, Stimulus
from flowkit.errors import FlowkitError
from flowkit.figures.metrics import measure
from flowkit.figures.queues import queue_reports
from flowkit.figures.report import Report
from flowkit.messages import Failed, Speak, Timer
from flowkit.plan.graph import Plan
from flowkit.replay.collector import without_collector
from flowkit.replay.compare import chain
from flowkit.replay.settings import recorded_plan
from flowkit.trace.reader import Trace, read_trace
from flowkit.trace.rows import content_of

_REMEMBERED = 20_000
"""Rows among which causes are looked for: a minute and more."""
_LOOK_AHEAD = 200
"""Recorded rows that are looked through for what comes in its place."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first row that is not as recorded, and what led to it then and now, nearest cause first. `recorded` or `now` is None
    where that journal has no more rows in its place. `what` says what is different, `stage` at which stage."""

    stage: str
    what: str
    recorded: Row | None
    now: Row | None
    causes: tuple[Row, ...] = ()
    causes_now: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Exactly:
    """What came of an exact replay: `difference` is None where the journal came out as recorded."""

    report: Report
    difference: Difference | None = None

    @property
    def same(self) -> bool:
        """Whether the journal came out as recorded."""
        return self.difference is None


@without_collector()
def exactly(trace: Trace | Path | str) -> Exactly:
    """Run the engine again over a trace. A redacted one is only measured. Where a secret was masked, texts are compared by length,
    and a notice says so. Raises TraceError for a trace that cannot be read."""
    started_us = monotonic_us()
    trace = trace if isinstance(trace, Trace) else read_trace(trace)
    if trace.redacted:
        return Exactly(timing_only(trace))
    alike = alike_masked if trace.masked else operator.eq
    again = Rerun(recorded_plan(trace), trace.journal(), whole=trace.whole, alike=alike)
    report = _measured(trace, again, started_us)
    if trace.masked:
        report = replace(report, notices=(*report.notices, "a secret was masked: texts are compared by their length"))
    if again.difference is not None:
        report = _measured(trace, trace.journal(), started_us)
    return Exactly(replace(report, queues=queue_reports(again.engine.inboxes())), again.difference)


def timing_only(trace: Trace) -> Report:
    """The figures of a trace whose content was masked."""
    report = _measured(trace, trace.journal(), monotonic_us())
    return replace(report, notices=(*report.notices, "content is redacted: only the timing is replayed"))


class Rerun:
    """The engine of `plan` run over the stimuli among `recorded` rows. Iterating gives the journal as it comes out now, as far as
    it is the recorded one; then `difference` says whether it is all of it. `whole`: the record goes to the session's end; `alike`:
    whether a recorded row and one that comes now are the same."""

    def __init__(
        self,
        plan: Plan,
        recorded: Iterable[Row],
        *,
        whole: bool = True,
        alike: Callable[[Row, Row], bool] = operator.eq,
    ) -> None:
        self.engine = Engine(plan)
        self.difference: Difference | None = None
        self._recorded = iter(recorded)
        self._whole = whole
        self._alike = alike
        self._places = {stage.id: place for place, stage in enumerate(plan.stages)}
        self._then: deque[Row] = deque()
        self._now: deque[Row] = deque()
        self._equal: deque[Row] = deque(maxlen=_REMEMBERED)

    def __iter__(self) -> Iterator[Row]:
        self.engine.begin(0)
        self._now.extend(self.engine.journal.take())
        for row in self._recorded:
            self._then.append(row)
            try:
                self._advance(row)
            except FlowkitError as error:
                self._differs(f"the stage refuses the message: {error}", row, None)
            while self._then and self._now and self.difference is None:
                then, now = self._then.popleft(), self._now.popleft()
                if not self._alike(then, now):
                    self._differs(_other(then, now), then, now)
                    break
                self._equal.append(now)
                yield now
            if self.difference is not None:
                return
        if self._then:
            self._differs("a row was recorded that does not come now", self._then[0], None)
        elif self._now and self._whole:
            self._differs("a row comes now that was not recorded", None, self._now[0])

    def _advance(self, row: Row) -> None:
        """Go on to `row`, if it is one that nothing before it causes."""
        if row.cause_stage or row.lane == "P" or self.engine.finished is not None:
            return
        # The engine's own: a deadline that it was asked for, or one of a provider's call.
        own = type(row.message) is Timer or (type(row.message) is Failed and not row.call)
        stimulus = Stimulus(self._places[row.stage], row.call, row.message, row.sent_us)
        self.engine.advance(row.handled_us, () if own else (stimulus,))
        self._now.extend(self.engine.journal.take())

    def _differs(self, what: str, then: Row | None, now: Row | None) -> None:
        # What was recorded behind it in its instant says whether a row is missing or new.
        here = next((row.handled_us for row in (then, now) if row is not None), 0)
        self._then.extend(takewhile(lambda row: row.handled_us <= here, islice(self._recorded, _LOOK_AHEAD)))
        at = _at_fault(then, now, self._then, self._now)
        known = self._equal
        causes, causes_now = chain([*known, *self._then], then), chain([*known, *self._now], now)
        self.difference = Difference(at, what, then, now, causes, causes_now)


def alike_masked(then: Row, now: Row) -> bool:
    """Whether two rows differ in nothing but what a mask changes: a text is as long as it was, and how it is spoken may be another,
    for that follows from what is masked."""
    if then == now:
        return True
    if then._replace(message=now.message) != now or then.kind != now.kind:
        return False
    spoken = ("text",) if type(now.message) is Speak else ("spoken", "marks")
    compared = [name for name in content_of(type(now.message)).names if name not in spoken]
    pairs = [(getattr(then.message, name), getattr(now.message, name)) for name in compared]
    return all(a == b or _as_long(a, b) for a, b in pairs)


def _as_long(a: object, b: object) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return len(a) == len(b)
    if not isinstance(a, tuple) or not isinstance(b, tuple) or len(a) != len(b):
        return False
    return all(x == y or _as_long(x, y) for x, y in zip(a, b, strict=True))


def _other(then: Row, now: Row) -> str:
    """What of a row is another now."""
    if (then.stage, then.kind) != (now.stage, now.kind):
        return f"a {then.kind} at '{then.stage}' was recorded where a {now.kind} at '{now.stage}' comes now"
    names = [name for name in Row._fields if getattr(then, name) != getattr(now, name)]
    told = ", ".join(f"{name} {getattr(then, name)!r} -> {getattr(now, name)!r}" for name in names if name != "message")
    if "message" not in names:
        return told
    fields = content_of(type(now.message)).names
    changed = [name for name in fields if getattr(now.message, name) != getattr(then.message, name)]
    return f"another {', '.join(changed)} of the {now.kind}" + (f"; {told}" if told else "")


def _at_fault(then: Row | None, now: Row | None, later_then: Iterable[Row], later_now: Iterable[Row]) -> str:
    """The stage that does something else now: the one that no longer sends what was recorded, or sends what was not."""
    if then is None or (now is not None and not then.cause_stage):
        row = now
    elif now is None or any(_alike(now, row) for row in later_then):
        row = then
    else:
        row = now if any(_alike(then, row) for row in later_now) else then
    assert row is not None
    # What a stage has discarded it has discarded itself, whoever sent it.
    return row.stage if row.fate is Fate.DISCARDED else row.cause_stage or row.stage


def _alike(a: Row, b: Row) -> bool:
    return (a.stage, a.kind, a.cause_stage) == (b.stage, b.kind, b.cause_stage)


def _measured(trace: Trace, rows: Iterable[Row], started_us: int) -> Report:
    report = measure(
        rows,
        plan=trace.layout,
        voiced=trace.reference,
        trace=trace.path.name,
        level="exact",
        digest=trace.digest,
        queues=trace.end.queues if trace.end is not None else (),
    )
    return replace(report, notices=(*trace.notices, *report.notices), wall_us=monotonic_us() - started_us)
