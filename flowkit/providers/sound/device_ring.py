"""The two rings between a device's callback and the event loop: a callback only appends to or takes from a deque.

A callback runs in PortAudio's thread, beside the loop. It takes no lock and allocates next to nothing: appending to and
popping from a deque are single steps of the interpreter. What it has to tell goes into a bounded deque, and the loop is
woken.

The speaker's ring follows two clocks. Every chunk carries the time at which playback wants it popped, on the session's
clock; the device pops by its own. A run of sound begins with the first callback at or after its time, so a chunk is
popped up to one block late and never early, and what is silenced from the next tick on has not been popped. If the
device's clock runs on ahead a block of silence goes in, and if it falls `LATE_BLOCKS` behind, chunks are left out until
it has caught up: rarely (at 50 parts in a million after 20 minutes of unbroken sound), since every pause starts anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

LATE_BLOCKS = 3
"""Blocks that a chunk may be late by before the device is taken to have fallen behind."""
_TOLD = 256
"""Happenings that may wait to be told; a loop that is held for seconds loses the oldest."""
_NEAR_US = 1_000
"""Times that are this near are equal: pieces meet to the microsecond, samples do not."""


class Block(NamedTuple):
    """One block of a microphone: the `number`-th, complete at `t_us` on the host's clock."""

    number: int
    t_us: int
    pcm: bytes


class MicRing:
    """Blocks that wait for the loop; when `bound` wait the oldest goes, and the numbers show the gap."""

    def __init__(self, bound: int, now_us: Callable[[], int], wake: Callable[[], bool]) -> None:
        self._blocks: deque[Block] = deque(maxlen=bound)
        self._now_us = now_us
        self._wake = wake
        self._count = 0
        self.overflows = 0

    def heard(self, pcm: bytes, overflowed: bool) -> bool:
        """The callback. False if there is nobody left to wake."""
        self._blocks.append(Block(self._count, self._now_us(), pcm))
        self._count += 1
        self.overflows += overflowed
        return self._wake()

    def take(self) -> Block | None:
        """The oldest block, or None."""
        return self._blocks.popleft() if self._blocks else None

    def clear(self) -> int:
        """Forget what waits; returns the number that the next block will have."""
        self._blocks.clear()
        return self._count


class DueBlock(NamedTuple):
    """One block of sound in the device's form, due at `due_us` of the session; `first` in its run of unbroken sound."""

    due_us: int
    epoch: int
    clause: int
    first: bool
    pcm: bytes


class Happening(NamedTuple):
    """What the speaker's callback has to tell, at `t_us` of the session: `began`, `ended`, `underrun` or `late`."""

    t_us: int
    what: str
    detail: str = ""


class SpeakerRing:
    """Chunks that wait to be popped. `now_us` is the session's clock, safe to be read in the callback."""

    def __init__(self, frame_us: int, now_us: Callable[[], int], wake: Callable[[], bool]) -> None:
        self._chunks: deque[DueBlock] = deque()
        self._frame_us = frame_us
        self._now_us = now_us
        self._wake = wake
        self._sounding: DueBlock | None = None
        self.told: deque[Happening] = deque(maxlen=_TOLD)
        self.until_us = 0
        self.calls = 0

    # -- the callback -----------------------------------------------------------------------------------------------

    def wants(self, underflowed: bool) -> bytes | None:
        """The callback: the chunk that is due, or None for silence."""
        now_us = self._now_us()
        self.calls += 1
        if underflowed:
            self._tell(now_us, "underrun", "the device ran dry")
        chunk = self._due(now_us)
        if chunk is None:
            if self._sounding is not None:
                self._fell_silent(now_us)
            return None
        if self._sounding is None or chunk.first:
            late_us = now_us - chunk.due_us
            self._tell(now_us, "began", f"epoch={chunk.epoch} clause={chunk.clause} late_us={late_us}")
        self._sounding = chunk
        return chunk.pcm

    def _due(self, now_us: int) -> DueBlock | None:
        chunks = self._chunks
        try:
            late_us = now_us - chunks[0].due_us
            if late_us > LATE_BLOCKS * self._frame_us:
                late_us = self._catch_up(now_us)
            may_wait_us = 0 if self._sounding is None else -self._frame_us
            return chunks.popleft() if late_us >= may_wait_us else None
        except IndexError:  # empty, or silenced by the loop between two steps
            return None

    def _catch_up(self, now_us: int) -> int:
        """Leave out what should have sounded; returns how late the next chunk is."""
        left_out = 0
        while now_us - self._chunks[0].due_us > self._frame_us:
            self._chunks.popleft()
            left_out += 1
        self._tell(now_us, "late", f"left out {left_out} blocks to catch up")
        return now_us - self._chunks[0].due_us

    def _fell_silent(self, now_us: int) -> None:
        """Nothing was there to pop: at a run's end, after a silencing, or because the loop did not keep up."""
        self._sounding = None
        if self.until_us > now_us + _NEAR_US:
            self._tell(now_us, "underrun", "the event loop did not keep up")
        else:
            self._tell(now_us, "ended")

    def _tell(self, now_us: int, what: str, detail: str = "") -> None:
        self.told.append(Happening(now_us, what, detail))
        self._wake()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def push(self, chunk: DueBlock) -> None:
        """Add a chunk behind the others; playback's `lead` bounds how many wait."""
        self._chunks.append(chunk)

    def silence(self, at_us: int) -> int:
        """Drop what is due at `at_us` or later, and of what is due before it all but one block: within a block nothing
        sounds any more, however late the device is. Returns the number of late blocks that were dropped."""
        self.until_us = min(self.until_us, at_us)
        kept: list[DueBlock] = []
        while True:
            try:
                # From the far end and one by one: whatever the callback takes meanwhile, it alone has it.
                chunk = self._chunks.pop()
            except IndexError:
                break
            if chunk.due_us < at_us - _NEAR_US:
                kept.append(chunk)
        if kept:
            self._chunks.append(kept.pop())
        return len(kept)

    def waiting(self) -> int:
        """Chunks in the ring."""
        return len(self._chunks)
