"""The watchdog reports what blocks the loop, with its stack, and nothing else."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from flowkit.clock import monotonic_us
from flowkit.figures.stalls import held_event, stall_details, stall_lines, starved_event
from flowkit.runtime.watchdog import Stall, Watchdog


def hold_the_loop(us: int) -> None:
    """Spend time without anything else, as a careless provider would."""
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
        while not dog.stack and monotonic_us() < until_us:
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


def starved(dog: Watchdog, steps: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that last so long and wait so long for a core (microseconds), on a machine that only this test moves."""
    now, waited = [0], [0]
    monkeypatch.setattr("flowkit.runtime.watchdog._now_ns", lambda: now[0])
    monkeypatch.setattr(dog.waits, "_so_far_ns", lambda: waited[0])

    async def main() -> None:
        task = trio.lowlevel.current_task()
        for lasts_us, waits_us in steps:
            now[0] += 1000
            dog.waits.note(now[0])
            dog.before_task_step(task)
            now[0] += 1000 * lasts_us
            waited[0] += 1000 * waits_us
            dog.after_task_step(task)
            waited[0] += 7_000_000  # while the loop rests, which is no step's

    trio.run(main)


def test_a_process_without_a_core_is_told_from_a_task_that_holds_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Stall] = []
    starved(Watchdog(found.append), [(50_000, 0), (50_000, 49_000), (50_000, 29_999), (80_000, 60_001)], monkeypatch)
    assert [(stall.waited_us, stall.held) for stall in found] == [
        (0, True), (49_000, False), (29_999, True), (60_001, False)
    ]  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="Linux counts it")
def test_what_a_task_does_itself_is_its_own_on_a_real_machine() -> None:
    (asleep,) = stalls_of(lambda: time.sleep(0.3))
    assert asleep.held


def test_each_kind_is_told_once_with_its_count() -> None:
    events = [
        (1, *held_event("asr call 1", 46_000, "in a.py")),
        (2, *starved_event("pump", 30_000, 31_000)),
        (3, *held_event("asr call 1", 146_400, "in b.py")),
        (4, *starved_event("asr call 1", 200_000, 201_000)),
        (5, "device", "gone"),
        (6, *held_event("pump", 25_000, "")),
    ]
    assert stall_lines(events) == [
        "the event loop was held 3 times, for 146 ms at most, by asr call 1",
        "other processes had the cores 2 times, for 200 ms at most; delays measured meanwhile are this machine's, "
        "not the pipeline's",
    ]
    assert stall_details(events) == ["asr call 1: 2 times, 146 ms at most\nin b.py", "pump: once, 25 ms at most"]
    assert stall_lines([(1, "stall", "[redacted]")]) == ["the event loop was held once, for 0 ms at most, by a task"]
    assert stall_lines([(5, "device", "gone")]) == []
