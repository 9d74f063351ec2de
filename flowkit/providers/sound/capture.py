"""Plays a recording as a microphone would: frame by frame in real time, and then silence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from flowkit.clock import US_PER_S
from flowkit.messages import Frames, InputEnded
from flowkit.providers.base import Surroundings
from flowkit.providers.inline import Answer

BYTES_PER_SAMPLE = 2


def frame_bytes(around: Surroundings) -> int:
    """The size of one input frame in bytes."""
    return around.input_rate_hz * around.frame_us // US_PER_S * BYTES_PER_SAMPLE


def captured(pcm: bytes, around: Surroundings) -> Iterator[Answer]:
    """Yield `pcm` (s16le mono at the input rate) frame by frame, then InputEnded, then silence without end.

    A frame is complete only after its last sample. So frame i is due i + 1 frame lengths after the start, even if
    earlier frames were accepted late.
    """
    size, frame_us = frame_bytes(around), around.frame_us
    total = -(-len(pcm) // size)
    if total == 0:
        yield Answer(0, InputEnded(0))
    for index in count():
        at_us = (index + 1) * frame_us
        yield Answer(at_us, Frames(index, 1, pcm[index * size : (index + 1) * size].ljust(size, b"\0")))
        if index + 1 == total:
            yield Answer(at_us, InputEnded(total))
