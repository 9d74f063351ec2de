"""Deadlines, kept in a heap; a deadline that was replaced or taken back is skipped when it comes up."""

from __future__ import annotations

import heapq


class Timers:
    """At most one deadline for each (stage, tag)."""

    __slots__ = ("_seq", "_set", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, int, str]] = []
        """(at_us, stage, seq, tag); its front is a deadline, or one that no longer counts."""
        self._set: dict[tuple[int, str], tuple[int, int]] = {}
        self._seq = 0

    def set(self, stage: int, tag: str, at_us: int | None) -> None:
        """Set, move or (None) take back a deadline."""
        key = (stage, tag)
        if at_us is None:
            self._set.pop(key, None)
            return
        known = self._set.get(key)
        if known is not None and known[0] == at_us:
            return
        self._seq += 1
        self._set[key] = (at_us, self._seq)
        heapq.heappush(self.heap, (at_us, stage, self._seq, tag))

    def clear(self, stage: int) -> None:
        """Take back every deadline of a stage."""
        for key in [key for key in self._set if key[0] == stage]:
            del self._set[key]

    def next_us(self) -> int | None:
        """The next deadline, or None."""
        heap = self.heap
        while heap:
            at_us, stage, seq, tag = heap[0]
            if self._set.get((stage, tag)) == (at_us, seq):
                return at_us
            heapq.heappop(heap)
        return None

    def pop_due(self, now_us: int) -> tuple[int, str, int] | None:
        """The earliest deadline that has come, as (stage, tag, at_us), or None."""
        at_us = self.next_us()
        if at_us is None or at_us > now_us:
            return None
        _, stage, _, tag = heapq.heappop(self.heap)
        del self._set[stage, tag]
        return stage, tag, at_us
