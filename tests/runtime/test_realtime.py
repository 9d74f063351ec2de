"""Settings of the whole process: their users are counted, and the last one restores them."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.replay.collector import without_collector
from flowkit.runtime.realtime import in_real_time

State = tuple[tuple[int, int, int], float, bool, int]


def state() -> State:
    return gc.get_threshold(), sys.getswitchinterval(), gc.isenabled(), gc.get_freeze_count()


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    thresholds, switch_s, enabled, _ = state()
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(switch_s)
    gc.unfreeze()
    (gc.enable if enabled else gc.disable)()


WANTED: tuple[Callable[[], AbstractContextManager[None]], ...] = (in_real_time, without_collector)


@pytest.mark.parametrize("wanted", WANTED)
@settings(max_examples=30, deadline=None)  # each looks through the whole heap
@given(order=st.permutations(range(4)), begins=st.integers(1, 4))
def test_however_they_overlap_the_process_is_as_before(
    wanted: Callable[[], AbstractContextManager[None]], order: list[int], begins: int
) -> None:
    before = state()
    users = [wanted() for _ in order]
    for user in users[:begins]:
        user.__enter__()
    during = state()
    assert during != before
    left = [number for number in order if number < begins]
    for number in left[:-1]:
        users[number].__exit__(None, None, None)
        assert state()[:3] == during[:3]
    users[left[-1]].__exit__(None, None, None)
    assert state() == before


@pytest.mark.parametrize("wanted", WANTED)
def test_from_many_threads_at_once(wanted: Callable[[], AbstractContextManager[None]]) -> None:
    before, together = state(), threading.Barrier(8)

    def use() -> None:
        together.wait()
        for _ in range(20):
            with wanted():
                pass

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state() == before


OLD_CYCLES = """
import weakref
from collections import deque
from flowkit.runtime.realtime import in_real_time

class Knot:
    def __init__(self):
        self.itself = self

alive, most = set(), 0
in_use = deque(maxlen=60_000)  # so that each grows old before it is garbage
with in_real_time():
    for _ in range(1_000_000):
        in_use.append(knot := Knot())
        alive.add(weakref.ref(knot, alive.discard))
        most = max(most, len(alive))
print(most)
"""


def test_a_process_that_lives_long_keeps_no_old_cycles() -> None:
    """In a process of its own: how many cycles wait for the collector depends on how much else the process holds."""
    most = int(subprocess.run([sys.executable, "-c", OLD_CYCLES], capture_output=True, text=True, check=True).stdout)
    assert most < 400_000
