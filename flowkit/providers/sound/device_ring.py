"""The buffers between a device's callback and the event loop.

A callback runs in PortAudio's thread. It takes no lock and allocates almost nothing: it only appends to or pops from a
deque, which are atomic operations. Its events go into a bounded deque, and it wakes the loop.

The speaker's buffer has to follow two clocks. Each chunk has a due time on the session's clock, but the device pops by
its own clock. A run of audio starts with the first callback at or after its due time. So a chunk is popped up to one
block late and never early, and audio that is silenced from the next tick on has not been popped. If the device's clock
is fast, a block of silence is inserted. If it is `LATE_BLOCKS` blocks behind, chunks are skipped until it has caught
up. Both are rare: at a deviation of 50 ppm it takes 20 minutes of audio without a pause, because every pause starts a
new run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from flowkit.plural import counted

LATE_BLOCKS = 3
"""How many blocks late a chunk may be before chunks are skipped."""
_MOST_HAPPENINGS = 256
"""Events that may wait for the loop. If the loop is blocked for seconds, the oldest are dropped."""
_NEAR_US = 1_000
"""Times that differ by less count as equal. Times are rounded to microseconds; samples are not."""


class Block(NamedTuple):
    """One block of a microphone. `number` counts from 0. It was complete at `t_us` on the host's clock."""

    number: int
    t_us: int
    pcm: bytes


class MicRing:
    """Microphone blocks that wait for the loop. If more than `bound` wait, the oldest is dropped, and the numbers show
    the gap.

    `overflows` counts how often the device itself lost audio.
    """

    def __init__(self, bound: int, now_us: Callable[[], int], wake: Callable[[], bool]) -> None:
        self._blocks: deque[Block] = deque(maxlen=bound)
        self._now_us = now_us
        self._wake = wake
        self._count = 0
        self.overflows = 0

    def heard(self, pcm: bytes, overflowed: bool) -> bool:
        """Add a block. The device's callback calls it. Returns False if the loop has ended."""
        self._blocks.append(Block(self._count, self._now_us(), pcm))
        self._count += 1
        self.overflows += overflowed
        return self._wake()

    def take(self) -> Block | None:
        """Remove and return the oldest block, or None."""
        return self._blocks.popleft() if self._blocks else None

    def clear(self) -> int:
        """Drop all waiting blocks. Returns the number of the next block."""
        self._blocks.clear()
        return self._count


class DueBlock(NamedTuple):
    """One block of audio in the device's format, due at session time `due_us`. `first`: it starts a run."""

    due_us: int
    epoch: int
    clause: int
    first: bool
    pcm: bytes


class Happening(NamedTuple):
    """An event of the speaker's callback at session time `t_us`. `what` is `began`, `ended`, `underrun` or `late`."""

    t_us: int
    what: str
    detail: str = ""


class SpeakerRing:
    """Chunks that wait for the device.

    `happenings` are the events for the loop, `until_us` is when the pushed audio ends, and `calls` counts the callbacks.

    Args:
        frame_us: Length of a block in microseconds.
        now_us: The session's clock. It must be callable in the device's thread.
        wake: Wakes the loop.
    """

    def __init__(self, frame_us: int, now_us: Callable[[], int], wake: Callable[[], bool]) -> None:
        self._chunks: deque[DueBlock] = deque()
        self._frame_us = frame_us
        self._now_us = now_us
        self._wake = wake
        self._sounding: DueBlock | None = None
        self.happenings: deque[Happening] = deque(maxlen=_MOST_HAPPENINGS)
        self.until_us = 0
        self.calls = 0

    # -- the callback -----------------------------------------------------------------------------------------------

    def wants(self, underflowed: bool) -> bytes | None:
        """The PCM of the chunk that is due, or None for silence. The device's callback calls it."""
        now_us = self._now_us()
        self.calls += 1
        if underflowed:
            self._tell(now_us, "underrun", "the device had no data")
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
            # Within a run the device pops by its own clock, so a chunk may go up to a block early.
            may_wait_us = 0 if self._sounding is None else -self._frame_us
            return chunks.popleft() if late_us >= may_wait_us else None
        except IndexError:  # empty, or emptied by the loop meanwhile
            return None

    def _catch_up(self, now_us: int) -> int:
        """Skip chunks that are late. Returns how late the next chunk is, in microseconds."""
        skipped = 0
        while now_us - self._chunks[0].due_us > self._frame_us:
            self._chunks.popleft()
            skipped += 1
        self._tell(now_us, "late", f"skipped {counted(skipped, 'block')} to catch up")
        return now_us - self._chunks[0].due_us

    def _fell_silent(self, now_us: int) -> None:
        """No chunk was due: the run has ended or was silenced, or the loop did not keep up."""
        self._sounding = None
        # More audio was announced, so this is not the end of it.
        if self.until_us > now_us + _NEAR_US:
            self._tell(now_us, "underrun", "the event loop did not keep up")
        else:
            self._tell(now_us, "ended")

    def _tell(self, now_us: int, what: str, detail: str = "") -> None:
        self.happenings.append(Happening(now_us, what, detail))
        self._wake()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def push(self, chunk: DueBlock) -> None:
        """Append a chunk. Playback's option `lead` limits how many wait."""
        self._chunks.append(chunk)

    def silence(self, at_us: int) -> int:
        """Silence the speaker from `at_us` on. Returns the number of late blocks that were dropped.

        Chunks that are due at `at_us` or later are dropped. Of the earlier ones at most one block is kept, so that the
        speaker is silent within a block even if the device is late.
        """
        self.until_us = min(self.until_us, at_us)
        kept: list[DueBlock] = []
        while True:
            try:
                # Popped one by one from the end: the callback may take chunks from the other end meanwhile.
                chunk = self._chunks.pop()
            except IndexError:
                break
            if chunk.due_us < at_us - _NEAR_US:
                kept.append(chunk)
        if kept:
            self._chunks.append(kept.pop())
        return len(kept)

    def waiting(self) -> int:
        """The number of waiting chunks."""
        return len(self._chunks)
