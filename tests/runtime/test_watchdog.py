"""The watchdog: what holds the loop is named, with its stack while it did so; what does not is left alone."""

import threading
import time
from collections.abc import Callable

import pytest
import trio

from flowkit.clock import monotonic_us
from flowkit.runtime.watchdog import Stall, Watchdog


def hold_the_loop(us: int) -> None:
    """Nothing but time, as a careless provider would spend it."""
    until_us = monotonic_us() + us
    while monotonic_us() < until_us:
        pass


def stalls_of(what: Callable[[], None]) -> list[Stall]:
    found: list[Stall] = []

    async def careless() -> None:
        what()

    async def main() -> None:
        with Watchdog(found.append):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(careless, name="careless")

    trio.run(main)
    return [stall for stall in found if stall.task == "careless"]


def test_fifty_milliseconds_are_reported() -> None:
    (stall,) = stalls_of(lambda: hold_the_loop(50_000))
    assert stall.lasted_us >= 50_000


def test_a_stall_is_reported_with_its_stack() -> None:
    """Held until the watchdog's thread has had its turn to look, however busy the machine is."""
    found: list[Stall] = []

    async def careless(dog: Watchdog) -> None:
        until_us = monotonic_us() + 30_000_000
        while not dog._stack and monotonic_us() < until_us:
            hold_the_loop(1_000)

    async def main() -> None:
        with Watchdog(found.append) as dog:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(careless, dog, name="careless")

    trio.run(main)
    stall = next(stall for stall in found if stall.task == "careless")
    assert "hold_the_loop" in stall.stack or "careless" in stall.stack
    assert stall.lasted_us > 20_000


def test_five_milliseconds_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only this test moves, so that a busy machine cannot make five of them fifty."""
    now_us = [0]
    monkeypatch.setattr("flowkit.runtime.watchdog._now_ns", lambda: 1000 * now_us[0])
    watched: list[Stall] = []
    dog = Watchdog(watched.append)

    async def main() -> None:
        task = trio.lowlevel.current_task()
        for lasted_us in (5_000, 20_000, 20_001, 50_000):
            now_us[0] += 1
            dog.before_task_step(task)
            now_us[0] += lasted_us
            dog.after_task_step(task)

    trio.run(main)
    assert [stall.lasted_us for stall in watched] == [20_001, 50_000]


def test_a_block_that_keeps_the_gil_is_still_reported() -> None:
    """Its thread cannot look; the loop's own measure does."""
    (stall,) = stalls_of(lambda: sum(range(6_000_000)) and None)
    assert stall.lasted_us > 20_000


def test_a_sleep_in_a_thread_is_nobody_s_fault() -> None:
    found: list[Stall] = []

    async def main() -> None:
        with Watchdog(found.append):
            await trio.to_thread.run_sync(time.sleep, 0.06)

    trio.run(main)
    assert not [stall for stall in found if stall.lasted_us > 60_000 and "sleep" in stall.stack]


def test_it_leaves_nothing_behind() -> None:
    before = threading.active_count()
    stalls_of(lambda: None)
    assert threading.active_count() <= before
