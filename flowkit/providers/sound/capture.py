"""What a recorded source does: hands out its samples as a microphone would, in real time, and then goes on with
silence."""

from __future__ import annotations

from itertools import count

import trio

from flowkit.clock import US_PER_S
from flowkit.messages import Frames, InputEnded
from flowkit.providers.base import Emit, Surroundings

BYTES_PER_SAMPLE = 2


def frame_bytes(around: Surroundings) -> int:
    """The size of one input frame in bytes."""
    return around.input_rate_hz * around.frame_us // US_PER_S * BYTES_PER_SAMPLE


async def capture(pcm: bytes, around: Surroundings, emit: Emit) -> None:
    """Emit `pcm` (s16le mono at the input rate) frame by frame, InputEnded behind its last frame, then silence for
    ever.

    Frame i is complete one frame's length after its first sample, so it is emitted at start + (i + 1) frames. The
    deadlines are absolute: a late wake-up does not move the frames that follow.
    """
    size = frame_bytes(around)
    total = -(-len(pcm) // size)
    start_s = trio.current_time()
    if total == 0:
        await emit(InputEnded(0))
    for index in count():
        await trio.sleep_until(start_s + (index + 1) * around.frame_us / US_PER_S)
        await emit(Frames(index, 1, pcm[index * size : (index + 1) * size].ljust(size, b"\0")))
        if index + 1 == total:
            await emit(InputEnded(total))
