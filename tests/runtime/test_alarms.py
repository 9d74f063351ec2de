"""Alarms ring at the time they were set to last, whatever was set before."""

from __future__ import annotations

import itertools
import math

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flowkit.runtime.alarms import LONGEST_REST_S, REST_S, Alarm, open_alarms

TENTHS = st.integers(1, 30)
SETTINGS = st.tuples(st.integers(0, 20), st.integers(0, 3), st.one_of(st.none(), TENTHS))
"""When, in tenths of a second; which alarm; to which time after that, None: not at all."""


@settings(max_examples=60)
@given(st.lists(SETTINGS, max_size=12))
def test_each_rings_at_the_time_it_was_set_to_last(steps: list[tuple[int, int, int | None]]) -> None:
    rung: list[tuple[int, int]] = []

    async def main() -> None:
        zero_s = trio.current_time()

        def now() -> int:
            return round(10 * (trio.current_time() - zero_s))

        async with open_alarms() as alarms:
            own = [Alarm(lambda which=which: rung.append((now(), which))) for which in range(4)]
            for at, which, after in sorted(steps, key=lambda step: step[0]):
                await trio.sleep_until(zero_s + at / 10 + 0.01)
                alarms.set(own[which], math.inf if after is None else zero_s + (at + after) / 10)
            await trio.sleep(10)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert sorted(rung) == sorted(expected(steps))


def expected(steps: list[tuple[int, int, int | None]]) -> list[tuple[int, int]]:
    """What a timer of each alarm's own would ring."""
    due: dict[int, int] = {}
    rung = []
    for at, which, after in sorted(steps, key=lambda step: step[0]):
        if which in due and due[which] <= at:
            rung.append((due.pop(which), which))
        due.pop(which, None)
        if after is not None:
            due[which] = at + after
    return rung + [(at, which) for which, at in due.items()]


def test_one_that_was_rung_may_be_set_again_as_it_rings() -> None:
    times: list[float] = []

    async def main() -> None:
        async with open_alarms() as alarms:

            def ring() -> None:
                times.append(trio.current_time())
                if len(times) < 3:
                    alarms.set(alarm, trio.current_time() + 1)

            alarm = Alarm(ring)
            alarms.set(alarm, trio.current_time() + 1)
            await trio.sleep(10)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert [later - sooner for sooner, later in itertools.pairwise(times)] == pytest.approx([1, 1])


@pytest.mark.parametrize(("alarms", "rest_s"), [(4, 4 * REST_S), (100, LONGEST_REST_S)])
def test_what_is_due_just_after_a_wake_shares_the_next(alarms: int, rest_s: float) -> None:
    times: list[float] = []

    async def main() -> None:
        begin_s = trio.current_time()
        async with open_alarms() as host:
            for after_s in (1, 1 + 0.2 * rest_s, 1 + 0.8 * rest_s, 1.5, *[9] * (alarms - 4)):
                host.set(Alarm(lambda: times.append(trio.current_time() - begin_s)), begin_s + after_s)
            await trio.sleep(2)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert times == pytest.approx([1, 1 + rest_s, 1 + rest_s, 1.5])
