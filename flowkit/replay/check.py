"""Exact replay as a whole: read, fold, compare, measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from flowkit.clock import monotonic_us
from flowkit.plan.graph import Plan
from flowkit.replay.collector import without_collector
from flowkit.replay.compare import chain
from flowkit.replay.difference import Difference, Diverged
from flowkit.replay.exact import Fold
from flowkit.replay.settings import recorded_plan
from flowkit.replay.stretches import StretchFold
from flowkit.trace.codec import Chunk, Encoder, digest_of
from flowkit.trace.figures import Report
from flowkit.trace.metrics import measure
from flowkit.trace.reader import Trace, read_trace
from flowkit.trace.rows import RowTuple
from flowkit.trace.stretch import Stretch, rows_of

Items: TypeAlias = list[RowTuple | Stretch]


@dataclass(frozen=True, slots=True)
class Exactly:
    """What came of an exact replay. `causes`: of the recorded row that differs; `causes_now`: of what is sent now."""

    same: bool
    report: Report
    difference: Difference | None = None
    causes: tuple[RowTuple, ...] = ()
    causes_now: tuple[RowTuple, ...] = ()


@without_collector()
def exactly(trace: Trace | Path | str, *, frame_by_frame: bool = False) -> Exactly:
    """Fold every stage over its recorded rows. `frame_by_frame` makes every row anew, and its digest with them; else quiet
    stretches are compared as they are stored, and what is equal has the recorded digest.

    A redacted trace is only measured. Raises TraceError for a trace that cannot be read."""
    started_us = monotonic_us()
    trace = trace if isinstance(trace, Trace) else read_trace(trace)
    if trace.redacted:
        return Exactly(True, timing_only(trace))
    plan = recorded_plan(trace)
    if not frame_by_frame:
        try:
            return Exactly(True, _report(trace, _followed(plan, trace), trace.digest, started_us))
        except Diverged:
            pass  # a fold row by row says whether that is so, and what differs first
    items = list(trace.items())
    try:
        digest = _made(trace, Fold(plan), items)
    except Diverged as diverged:
        return _differing(trace, diverged.difference, started_us)
    return Exactly(digest == trace.digest, _report(trace, items, digest, started_us))


def timing_only(trace: Trace) -> Report:
    """The figures of a trace whose content was masked."""
    report = _report(trace, list(trace.items()), trace.digest, monotonic_us())
    return replace(report, notices=(*report.notices, "content is redacted: only the timing is replayed"))


def _followed(plan: Plan, trace: Trace) -> Iterator[RowTuple | Stretch]:
    """The trace's stretches as they are folded: with its figures read off as it goes, only one lot of chunks is ever held."""
    fold = StretchFold(plan)
    yield from fold.through(trace.items())
    fold.end(fold.now_us)


def _made(trace: Trace, fold: Fold, items: Items) -> str:
    encoder = Encoder(trace.layout)

    def chunks() -> Iterator[Chunk]:
        for item in items:
            yield from encoder.add([fold.row(row) for row in rows_of([item])])
        fold.end(fold.now_us)
        yield from encoder.finish()

    return digest_of(chunk.text for chunk in chunks())


def _differing(trace: Trace, difference: Difference, started_us: int) -> Exactly:
    rows = trace.rows()
    causes = chain(rows, difference.recorded)
    by = difference.cause
    nearest = next((row for row in rows if (row[0], row[1]) == by), None)
    causes_now = () if nearest is None else (nearest, *chain(rows, nearest))
    return Exactly(False, _report(trace, rows, "", started_us), difference, causes, causes_now)


def _report(trace: Trace, items: Iterable[RowTuple | Stretch], digest: str, started_us: int) -> Report:
    report = measure(
        items,
        plan=trace.layout,
        voiced=trace.ruler,
        trace=trace.path.name,
        level="exact",
        digest=digest,
        queues=trace.end.queues if trace.end is not None and trace.end.queues else None,
    )
    return replace(report, notices=(*trace.notices, *report.notices), wall_us=monotonic_us() - started_us)
