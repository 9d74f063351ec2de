"""Exact replay: runs the engine again over the recorded stimuli at their recorded times, and compares the journals.

A row without a cause is a stimulus, a timer, or something that the engine does by itself. Only stimuli are delivered
again. Everything else must come out as recorded, row by row: messages, requests, what was fed, cancels, what the device
received. So a change in the code shows at the first row that it affects.
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
from flowkit.replay.compare import chain, row_line
from flowkit.replay.settings import recorded_plan
from flowkit.trace.reader import Trace, read_trace
from flowkit.trace.rows import content_of

_CAUSES_AMONG = 20_000
"""How many of the latest equal rows are kept, to look for causes in: more than a minute of a session."""
_LOOK_AHEAD = 200
"""How many recorded rows after a difference are looked at."""
_MAY_HOLD = frozenset({"llm", "tts"})
"""The stages that hold back what their providers give: while what they sent waits, or until a guess is judged."""
_WAKES = 5
"""An item that waited while the session woke up so often was held back by its stage. Less may be a busy event loop."""
_APART_US = 5_000
"""What is handled within less belongs to one awakening, such as all that has waited for a busy event loop."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first row that is not as recorded."""

    stage: str
    """The stage whose behaviour differs."""
    what: str
    """What differs, for people."""
    recorded: Row | None
    """The recorded row. None: no more rows were recorded."""
    now: Row | None
    """The row of the replay. None: the replay has no row in its place."""
    causes: tuple[Row, ...] = ()
    """The causes of the recorded row, the nearest first."""
    causes_now: tuple[Row, ...] = ()
    """The causes of the row of the replay."""


@dataclass(frozen=True, slots=True)
class Exactly:
    """The result of an exact replay. `difference` is None if the journal came out as recorded."""

    report: Report
    difference: Difference | None = None

    @property
    def same(self) -> bool:
        """Whether the journal came out as recorded."""
        return self.difference is None


def lines_of(found: Difference | None) -> list[str]:
    """A difference as lines of text: what differs at which stage, and the row then and now with its causes."""
    if found is None:
        return []
    lines = [f"first difference, at stage '{found.stage}': {found.what}"]
    lines.append(f"- recorded: {row_line(found.recorded) if found.recorded else 'nothing'}")
    lines += [f"-   because of {row_line(row)}" for row in found.causes]
    lines.append(f"+ now:      {row_line(found.now) if found.now else 'nothing'}")
    lines += [f"+   because of {row_line(row)}" for row in found.causes_now]
    return lines


@without_collector()
def exactly(trace: Trace | Path | str) -> Exactly:
    """Replay a trace exactly.

    A redacted trace is only measured. In a trace in which a secret was masked, texts are compared by their length, and
    a notice says so. Raises TraceError if the trace cannot be read.
    """
    started_us = monotonic_us()
    trace = trace if isinstance(trace, Trace) else read_trace(trace)
    if trace.redacted:
        return Exactly(timing_only(trace))
    alike = alike_masked if trace.masked else operator.eq
    again = Rerun(recorded_plan(trace), trace.journal(), whole=trace.whole, alike=alike)
    report = _measured(trace, again, started_us)
    if trace.masked:
        report = replace(report, notices=(*report.notices, "a secret was masked: texts are compared by their length"))
    # The replay stopped at the difference, so only the recording has figures of the whole session.
    if again.difference is not None:
        report = _measured(trace, trace.journal(), started_us)
    return Exactly(replace(report, queues=queue_reports(again.engine.inboxes())), again.difference)


def timing_only(trace: Trace) -> Report:
    """The figures of a trace whose content is redacted."""
    report = _measured(trace, trace.journal(), monotonic_us())
    return replace(report, notices=(*report.notices, "content is redacted: only the timing is replayed"))


class Rerun:
    """Runs the engine of `plan` over the stimuli among `recorded` rows.

    Iterate over it to get the journal as it comes out now, up to the first difference. Then `difference` holds that
    difference, or None.

    Args:
        plan: the plan of the session.
        recorded: the recorded rows.
        whole: whether the rows reach the end of the session. If not, rows that come after them are not a difference.
        alike: whether a recorded row and one of the replay count as equal.
    """

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
        self._equal: deque[Row] = deque(maxlen=_CAUSES_AMONG)
        self._holding = [place for place, stage in enumerate(plan.stages) if stage.kind in _MAY_HOLD]
        self._accepting_us = [0] * len(plan.stages)
        """Since when each stage accepts what its provider gives; -1 while it does not."""
        self._wakes: deque[int] = deque([-1] * _WAKES, maxlen=_WAKES)
        """When the session last woke up."""

    def __iter__(self) -> Iterator[Row]:
        self.engine.begin(0)
        self._now.extend(self.engine.journal.take())
        for row in self._recorded:
            self._then.append(row)
            try:
                self._advance(row)
            except FlowkitError as error:
                # New code may refuse a recorded message, as a turn table without a row does. That is a difference too.
                self._stop(f"the stage refuses the message: {error}", row, None)
            while self._then and self._now and self.difference is None:
                then, now = self._then.popleft(), self._now.popleft()
                if not self._alike(then, now):
                    self._stop(_what_differs(then, now), then, now)
                    break
                self._equal.append(now)
                yield now
            if self.difference is not None:
                return
        if self._then:
            self._stop("a row was recorded that does not come now", self._then[0], None)
        elif self._now and self._whole:
            self._stop("a row comes now that was not recorded", None, self._now[0])

    def _advance(self, row: Row) -> None:
        """Deliver `row` to the engine, if it is a stimulus, or advance the time to it, if the engine made it by itself."""
        # Rows with a cause follow from others, and rows to a provider from the engine's own timeouts.
        if row.cause_stage or row.lane == "P" or self.engine.finished is not None:
            return
        # The engine produces these itself: a stage's timer, and the timeout of a provider call.
        own = type(row.message) is Timer or (type(row.message) is Failed and not row.call)
        place = self._places[row.stage]
        if place in self._holding and row.call and row.fate is Fate.HANDLED and self._would_not_wait(place, row):
            self._stop("the stage held this item back, and accepts it now", row, None)
            return
        self.engine.advance(row.handled_us, () if own else (Stimulus(place, row.call, row.message, row.sent_us),))
        self._now.extend(self.engine.journal.take())
        if row.handled_us >= self._wakes[-1] + _APART_US:
            self._wakes.append(row.handled_us)
        for place in self._holding:
            if not self.engine.accepts_item(place):
                self._accepting_us[place] = -1
            elif self._accepting_us[place] < 0:
                self._accepting_us[place] = row.handled_us

    def _would_not_wait(self, place: int, row: Row) -> bool:
        """Whether the stage held an item of its provider back then, and would have accepted it long before now."""
        since_us = self._accepting_us[place]
        return since_us >= 0 and self._wakes[0] >= max(row.sent_us, since_us)

    def _stop(self, what: str, then: Row | None, now: Row | None) -> None:
        """Store the difference with the causes on both sides."""
        # The rest of the instant tells whether a row is missing or new.
        here = next((row.handled_us for row in (then, now) if row is not None), 0)
        self._then.extend(takewhile(lambda row: row.handled_us <= here, islice(self._recorded, _LOOK_AHEAD)))
        at = _at_fault(then, now, self._then, self._now)
        known = self._equal
        causes, causes_now = chain([*known, *self._then], then), chain([*known, *self._now], now)
        self.difference = Difference(at, what, then, now, causes, causes_now)


def alike_masked(then: Row, now: Row) -> bool:
    """Whether two rows differ only in what masking changes.

    Texts must have the same length. The spoken form of a text is not compared, because it depends on the masked
    characters.
    """
    if then == now:
        return True
    if then._replace(message=now.message) != now or then.kind != now.kind:
        return False
    spoken = ("text",) if type(now.message) is Speak else ("spoken", "marks")
    compared = [name for name in content_of(type(now.message)).names if name not in spoken]
    pairs = [(getattr(then.message, name), getattr(now.message, name)) for name in compared]
    return all(a == b or _as_long(a, b) for a, b in pairs)


def _as_long(a: object, b: object) -> bool:
    """Whether two values are texts of the same length, or tuples of equal values and such texts."""
    if isinstance(a, str) and isinstance(b, str):
        return len(a) == len(b)
    if not isinstance(a, tuple) or not isinstance(b, tuple) or len(a) != len(b):
        return False
    return all(x == y or _as_long(x, y) for x, y in zip(a, b, strict=True))


def _what_differs(then: Row, now: Row) -> str:
    """What differs between two rows, for people."""
    if (then.stage, then.kind) != (now.stage, now.kind):
        return f"a {then.kind} at '{then.stage}' was recorded where a {now.kind} at '{now.stage}' comes now"
    names = [name for name in Row._fields if getattr(then, name) != getattr(now, name)]
    changes = ", ".join(
        f"{name} {getattr(then, name)!r} -> {getattr(now, name)!r}" for name in names if name != "message"
    )
    if "message" not in names:
        return changes
    fields = content_of(type(now.message)).names
    changed = [name for name in fields if getattr(now.message, name) != getattr(then.message, name)]
    return f"another {', '.join(changed)} of the {now.kind}" + (f"; {changes}" if changes else "")


def _at_fault(then: Row | None, now: Row | None, later_then: Iterable[Row], later_now: Iterable[Row]) -> str:
    """The stage that behaves differently.

    It is the one that no longer sends what was recorded, or that sends what was not recorded.
    """
    if then is None or (now is not None and not then.cause_stage):
        row = now
    elif now is None or any(_alike(now, row) for row in later_then):
        row = then
    else:
        row = now if any(_alike(then, row) for row in later_now) else then
    assert row is not None
    # A stage discards its own messages, so for these the sender is not the cause.
    return row.stage if row.fate is Fate.DISCARDED else row.cause_stage or row.stage


def _alike(a: Row, b: Row) -> bool:
    """Whether two rows have the same stage, kind and cause's stage."""
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
