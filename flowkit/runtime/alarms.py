"""Alarms: one task wakes every session of a host at the times that they ask for.

A task that sleeps costs Trio a cancel scope and an exception each time it wakes. A session wakes fifty times a second and more, so
that would be most of what it costs. This task wakes once for all that is due, and calls it in place. Then it rests for a moment,
the longer the more alarms there are. So what is due meanwhile shares the next wake: a wake costs as much as what a session does in
it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from heapq import heappop, heappush

import trio

REST_S, LONGEST_REST_S = 0.0001, 0.001
"""How long after a wake the next one is at the earliest: for each alarm, and at most. A session alone is called at once, and one of
many a little late, as it would be if the host were busy with the others."""


class Alarm:
    """Calls `ring` at the time it was set to last. `ring` must return at once and must not raise."""

    __slots__ = ("at_s", "ring")

    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring = ring
        self.at_s = math.inf


def _nothing() -> None:
    pass


class Alarms:
    """The alarms of a host. `run` is their task."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        """What was ever set and is not past. An entry counts while its alarm is still set to its time."""
        self._count = 0
        self._sleep: trio.CancelScope | None = None
        self._rests_until_s = -math.inf

    def set(self, alarm: Alarm, at_s: float) -> None:
        """Ring at `at_s` on Trio's clock, and not at the time set before; infinity: not at all."""
        if at_s == alarm.at_s:
            return
        alarm.at_s = at_s
        # The old entry stays in the heap, where it no longer counts: to take it out would need a search.
        if at_s == math.inf:
            return
        self._count += 1
        # The count breaks ties: alarms have no order, and equal times ring as they were set.
        heappush(self._heap, (at_s, self._count, alarm))
        # The task sleeps already and would wake too late.
        if self._sleep is not None and at_s < self._sleep.deadline:
            self._sleep.deadline = max(at_s, self._rests_until_s)

    def end(self, alarm: Alarm) -> None:
        """Ring never again, and let go of what would have been called."""
        alarm.ring = _nothing
        self.set(alarm, math.inf)

    async def run(self) -> None:
        """Ring until cancelled."""
        task = trio.lowlevel.current_task()

        def woken(raise_cancel: object) -> trio.lowlevel.Abort:
            # Woken as by an event. What Trio raises at the end of a sleep would cost as much as all else here.
            trio.lowlevel.reschedule(task)
            return trio.lowlevel.Abort.FAILED

        while True:
            with trio.CancelScope(deadline=max(self._next_s(), self._rests_until_s)) as self._sleep:
                await trio.lowlevel.wait_task_rescheduled(woken)
            # While alarms ring, `set` need not wake the task: it looks at the heap before it sleeps.
            self._sleep = None
            now_s = trio.current_time()
            self._rests_until_s = now_s + min(REST_S * len(self._heap), LONGEST_REST_S)
            self._ring(now_s)
            await trio.lowlevel.checkpoint_if_cancelled()

    def _next_s(self) -> float:
        """When the next alarm rings. Entries that no longer count are dropped."""
        heap = self._heap
        while heap and heap[0][0] != heap[0][2].at_s:
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def _ring(self, now_s: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= now_s:
            at_s, _, alarm = heappop(heap)
            if at_s == alarm.at_s:
                # Before the call, because `ring` sets the next time.
                alarm.at_s = math.inf
                alarm.ring()


@asynccontextmanager
async def open_alarms() -> AsyncIterator[Alarms]:
    """Alarms that ring while the body runs."""
    async with trio.open_nursery() as nursery:
        alarms = Alarms()
        nursery.start_soon(alarms.run, name="alarms")
        yield alarms
        nursery.cancel_scope.cancel()
