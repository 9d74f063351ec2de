"""What every session promises. Each promise is a function that checks the record of one session and raises ``Broken``.

    evidence = Evidence(plan)
    heap_session(plan, evidence)
    check(evidence)

The functions use only what is visible from outside (rows, actions, effects, audio), not the code that has to keep the
promise.
"""

from __future__ import annotations

from collections.abc import Callable

from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants.bounds import (
    bounds_hold,
    nothing_is_hoarded,
)
from flowkit.testing.invariants.early import (
    early_answers_fit,
    early_answers_wait,
    nothing_of_given_up_answers_is_left,
)
from flowkit.testing.invariants.ends import (
    no_turn_is_lost_in_silence,
    session_ends,
    turns_are_numbered,
)
from flowkit.testing.invariants.interrupts import (
    cancelled_calls_are_gone,
    interrupts_leave_nothing,
    nothing_stale_is_handled,
    nothing_stale_sounds,
)
from flowkit.testing.invariants.order import (
    clauses_hold_the_reply,
    ends_come_last,
    markers_are_kept,
    nothing_is_lost,
    order_is_kept,
    rows_come_first,
)
from flowkit.testing.invariants.record import Broken
from flowkit.testing.invariants.sound import history_is_what_was_heard, sound_is_on_time, sound_is_whole

PROMISES: tuple[Callable[[Evidence], None], ...] = (
    session_ends,
    turns_are_numbered,
    no_turn_is_lost_in_silence,
    bounds_hold,
    nothing_is_hoarded,
    interrupts_leave_nothing,
    nothing_stale_is_handled,
    nothing_stale_sounds,
    cancelled_calls_are_gone,
    rows_come_first,
    nothing_is_lost,
    markers_are_kept,
    order_is_kept,
    ends_come_last,
    clauses_hold_the_reply,
    sound_is_whole,
    sound_is_on_time,
    history_is_what_was_heard,
    early_answers_wait,
    early_answers_fit,
    nothing_of_given_up_answers_is_left,
)


def check(evidence: Evidence) -> None:
    """Check all promises. Raises Broken for the first one that the session did not keep."""
    for promise in PROMISES:
        promise(evidence)


__all__ = [
    "PROMISES",
    "Broken",
    "bounds_hold",
    "cancelled_calls_are_gone",
    "check",
    "clauses_hold_the_reply",
    "early_answers_fit",
    "early_answers_wait",
    "ends_come_last",
    "history_is_what_was_heard",
    "interrupts_leave_nothing",
    "markers_are_kept",
    "no_turn_is_lost_in_silence",
    "nothing_is_hoarded",
    "nothing_is_lost",
    "nothing_of_given_up_answers_is_left",
    "nothing_stale_is_handled",
    "nothing_stale_sounds",
    "order_is_kept",
    "rows_come_first",
    "session_ends",
    "sound_is_on_time",
    "sound_is_whole",
    "turns_are_numbered",
]
