"""Deadlines in exact replay: whatever the order in which rows are folded, one that did not fire in its instant is seen."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowkit.replay.deadlines import Deadlines
from flowkit.replay.difference import Diverged
from flowkit.stages.base import NEVER

KEEP = NEVER
Row = tuple[int, str, int | None]
"""When it is handled, whose row it is, and when its stage wishes to wake up then, if it does; KEEP: it leaves that as it is."""


def _rows(told: list[Row]) -> list[Row]:
    """Of steps with the time since the one before, and until the wake-up."""
    rows, now_us = list[Row](), 0
    for later_us, stage, wish in told:
        now_us += later_us
        rows.append((now_us, stage, wish if wish is None or wish == KEEP else now_us + wish))
    return rows


def _fold(deadlines: Deadlines, rows: list[Row]) -> None:
    """A row at the time of its stage's deadline, or later, is its wake-up; else the deadline is moved, or taken back."""
    for now_us, stage, wish in rows:
        deadlines.now_us = now_us
        due_us = deadlines.at(stage, "t")
        if due_us is not None and due_us <= now_us:
            assert deadlines.fired(stage, "t", due_us)
        if wish is None:
            deadlines.clear(stage)
        elif wish != KEEP:
            deadlines.set(stage, "t", wish)


def _differs_in_order(rows: list[Row]) -> bool:
    deadlines = Deadlines()
    try:
        for row in rows:
            deadlines.advance(row[0])
            _fold(deadlines, [row])
        deadlines.check(deadlines.now_us)
    except Diverged:
        return True
    return False


def _differs_by_stretches(rows: list[Row], cuts: list[int]) -> bool:
    deadlines = Deadlines()
    try:
        for begin, end in pairwise(sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})):
            times_us = [row[0] for row in rows[begin:end]]

            def between(begin_us: int, end_us: int, times_us: list[int] = times_us) -> bool:
                return bisect_left(times_us, begin_us) < bisect_left(times_us, end_us)

            deadlines.out_of_order(times_us[0], between)
            _fold(deadlines, sorted(rows[begin:end], key=lambda row: row[1]))
            deadlines.in_order(times_us[-1])
        deadlines.check(deadlines.now_us)
    except Diverged:
        return True
    return False


@given(
    told=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.none() | st.just(KEEP) | st.integers(-3, 4)),
        min_size=1,
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 11), max_size=3),
)
@example(told=[(0, "a", 5), (5, "b", KEEP), (1, "a", None)], cuts=[2])
@example(told=[(0, "a", 5), (5, "b", KEEP), (1, "a", None)], cuts=[])
@example(told=[(0, "a", 5), (4, "b", KEEP), (4, "a", None)], cuts=[1])
@example(told=[(0, "a", 0), (0, "a", None), (2, "b", KEEP)], cuts=[])
@example(told=[(0, "a", 0), (1, "a", None)], cuts=[1])
@example(told=[(3, "b", KEEP), (1, "b", KEEP), (1, "a", -2), (0, "a", None)], cuts=[])
@example(told=[(0, "a", 2), (3, "b", KEEP), (0, "b", KEEP)], cuts=[2])
def test_what_is_missed_in_order_is_missed_out_of_order(told: list[Row], cuts: list[int]) -> None:
    rows = _rows(told)
    assert _differs_by_stretches(rows, cuts) == _differs_in_order(rows)


def test_a_deadline_moved_by_who_knows_is_not_looked_at() -> None:
    deadlines = Deadlines()
    deadlines.set("a", "t", 5)
    deadlines.out_of_order(0, lambda begin_us, end_us: begin_us < end_us)
    deadlines.now_us = 9
    with pytest.raises(Diverged):
        deadlines.set("a", "t", 12)
    deadlines.move("a", "t", 12)
    deadlines.in_order(12)
    assert deadlines.at("a", "t") == 12
