"""Exact replay: the engine is run again over the recorded stimuli at their recorded times, and the journals are compared.

A row without a cause is a stimulus, a timer, or the engine's own timeout. Stimuli are handed in again; all else must come out by
itself, row by row as it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from flowkit.engine import Engine, Row, Stimulus
from flowkit.errors import FlowkitError
from flowkit.messages import Failed, Timer
from flowkit.plan.graph import Plan
from flowkit.trace.rows import RowTuple

_TIMED_OUT = "the provider gave nothing in time"
_NO_CALL = -1


class Differing(NamedTuple):
    """The first row that is not as recorded; None where one of the journals has ended."""

    recorded: RowTuple | None
    now: Row | None


def rerun(plan: Plan, recorded: Sequence[RowTuple]) -> Iterator[Row]:
    """The journal as the code makes it now, from the stimuli of the recorded one."""
    engine, places = Engine(plan), {stage.id: place for place, stage in enumerate(plan.stages)}
    engine.begin(0)
    for stage, _, cause, _, sent_us, now_us, _, _, _, message, fate in recorded:
        if cause or engine.finished is not None:
            continue
        place = places[stage]
        own = type(message) is Timer or (type(message) is Failed and message.what == _TIMED_OUT)
        call = engine._slots[place].call
        id_ = _NO_CALL if fate == "stale" else call.id if call is not None else 0
        engine.advance(now_us, () if own else (Stimulus(place, id_, message, sent_us),))
        yield from engine.journal.take()
    yield from engine.journal.take()


def first_difference(recorded: Iterable[RowTuple], now: Iterable[Row]) -> Differing | None:
    """The first row that differs; None if the journals are equal."""
    then: RowTuple | None = None
    try:
        for then, row in zip_longest(recorded, now):
            if then != row:
                return Differing(then, row)
    except FlowkitError:  # a stage that refuses a message
        return Differing(then, None)
    return None
