"""The deadlines of all stages, in one heap.

A deadline that was replaced or removed stays in the heap and is skipped when it reaches the front. That is cheaper than
to search for it.
"""

from __future__ import annotations

import heapq


class Timers:
    """At most one deadline for each stage and tag. Stages are given by index, times in microseconds."""

    __slots__ = ("_seq", "_set", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, int, str]] = []
        """(at_us, stage, seq, tag). The front may be a deadline that no longer counts, but none is earlier than it. The
        engine reads it directly: one comparison tells whether anything can be due."""
        self._set: dict[tuple[int, str], tuple[int, int]] = {}
        self._seq = 0

    def set(self, stage: int, tag: str, at_us: int | None) -> None:
        """Set the stage's deadline `tag` to `at_us`, replacing an earlier one; None removes it."""
        key = (stage, tag)
        if at_us is None:
            self._set.pop(key, None)
            return
        known = self._set.get(key)
        if known is not None and known[0] == at_us:
            return  # stages set their timer after every message, mostly to the time that it has
        # Deadlines of one stage for the same time go in the order in which they were set, whatever their tags are.
        self._seq += 1
        self._set[key] = (at_us, self._seq)
        heapq.heappush(self.heap, (at_us, stage, self._seq, tag))

    def clear(self, stage: int) -> None:
        """Remove every deadline of a stage."""
        for key in [key for key in self._set if key[0] == stage]:
            del self._set[key]

    def next_us(self) -> int | None:
        """The time of the next deadline, or None."""
        heap = self.heap
        while heap:
            at_us, stage, seq, tag = heap[0]
            if self._set.get((stage, tag)) == (at_us, seq):
                return at_us
            heapq.heappop(heap)
        return None

    def pop_due(self, now_us: int) -> tuple[int, str, int] | None:
        """Remove the earliest deadline at or before `now_us` and return (stage, tag, at_us), or None."""
        at_us = self.next_us()
        if at_us is None or at_us > now_us:
            return None
        _, stage, _, tag = heapq.heappop(self.heap)
        del self._set[stage, tag]
        return stage, tag, at_us
