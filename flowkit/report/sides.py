"""The sound of user and agent on one time axis: levels to draw and a file to play."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.figures.reference import MISSING
from flowkit.providers.sound.timeline import Pop

LEVEL_US = 20_000
"""One level is drawn for this much sound."""
RATE_HZ = 16_000
"""Sample rate of the sound of both sides."""
_SHORT_S = 120
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides of a session, as levels to draw and as sound."""

    user: bytes
    """One byte for each 20 ms; 255 is full scale."""
    agent: bytes
    """As `user`."""
    sound: NDArray[np.int16] | None = None
    """int16 samples, shape (n, 2), user left and agent right; None if sound was not kept."""

    def to_json(self) -> dict[str, Any]:
        """The data of the page. The sound is a data URI."""
        levels = {name: base64.b64encode(side).decode() for name, side in (("user", self.user), ("agent", self.agent))}
        return {"level_ms": LEVEL_US // 1000, **levels, "audio": "" if self.sound is None else data_uri(self.sound)}


def sides(
    pops: Sequence[Pop], *, length_us: int, user: NDArray[np.int16] | None, rate_hz: int, levels: bytes, frame_us: int
) -> Sides:
    """The two sides of a session.

    Args:
        pops: what was played.
        length_us: length of the session.
        user: the recorded input, int16 samples, or None.
        rate_hz: sample rate of `user`.
        levels: the reference detector's levels. They are drawn if `user` is None; the agent is then drawn at a constant
            level.
        frame_us: length of a frame, for `levels`.
    """
    total = length_us * RATE_HZ // 1_000_000 + 1
    heard = user is not None and (not pops or any(pop.pcm for pop in pops))
    if not heard or user is None:
        count = -(-length_us // LEVEL_US)
        return Sides(_from_reference(levels, frame_us, count), _from_pops(pops, count))
    sound = np.zeros((total, 2), np.int16)
    left = _at_rate(user, rate_hz)[:total]
    sound[: len(left), 0] = left
    for begin, samples in _runs(pops):
        at = begin * RATE_HZ // 1_000_000
        sound[at : at + len(samples), 1] = samples[: max(0, total - at)]
    return Sides(_levels(sound[:, 0]), _levels(sound[:, 1]), sound)


def data_uri(sound: NDArray[np.int16]) -> str:
    """The sound as Ogg Vorbis. Sessions over two minutes get the lowest quality, so that ten minutes stay below 2 MB."""
    import soundfile

    file = io.BytesIO()
    level = 0.7 if len(sound) < _SHORT_S * RATE_HZ else 1.0
    with soundfile.SoundFile(file, "w", RATE_HZ, 2, format="OGG", subtype="VORBIS", compression_level=level) as sink:
        # In pieces, because libsndfile's Vorbis encoder overflows the stack when it gets minutes at once.
        for first in range(0, len(sound), _PIECE):
            sink.write(sound[first : first + _PIECE])
    return "data:audio/ogg;base64," + base64.b64encode(file.getvalue()).decode()


def _runs(pops: Sequence[Pop]) -> list[tuple[int, NDArray[np.int16]]]:
    """Consecutive pops as one piece each, at the sample rate of the page: (time in microseconds, samples)."""
    runs: list[tuple[int, int, list[bytes]]] = []
    end_us = -1
    for pop in pops:
        # Times are rounded to microseconds, so pieces that follow each other may differ by one.
        if runs and runs[-1][1] == pop.rate_hz and abs(pop.t_us - end_us) <= 1:
            runs[-1][2].append(pop.pcm)
        else:
            runs.append((pop.t_us, pop.rate_hz, [pop.pcm]))
        end_us = pop.t_us + pop.samples * 1_000_000 // pop.rate_hz
    return [(at_us, _at_rate(np.frombuffer(b"".join(pcm), "<i2"), rate_hz)) for at_us, rate_hz, pcm in runs]


def _at_rate(samples: NDArray[np.int16], rate_hz: int) -> NDArray[np.int16]:
    if rate_hz == RATE_HZ or not len(samples):
        return samples
    import soxr

    resampled: NDArray[np.int16] = soxr.resample(samples, rate_hz, RATE_HZ)
    return resampled


def _levels(samples: NDArray[np.int16]) -> bytes:
    """The loudest sample of each 20 ms. Its square root is drawn, so that quiet voices are visible."""
    step = RATE_HZ * LEVEL_US // 1_000_000
    begins = np.arange(0, len(samples), step)
    # In 32 bits, because -32768 has no opposite in 16.
    whole = np.maximum(
        np.maximum.reduceat(samples, begins).astype(np.int32), -np.minimum.reduceat(samples, begins).astype(np.int32)
    )
    return bytes((255 * np.sqrt(whole / 32768)).astype(np.uint8))


def _from_reference(levels: bytes, frame_us: int, count: int) -> bytes:
    """The detector's levels as loudness. They are some 12 dB too low because of the pre-emphasis, which is corrected."""
    known = np.frombuffer(levels, np.uint8)
    if not len(known):
        return bytes(count)
    at = np.minimum(np.arange(count) * LEVEL_US // frame_us, len(known) - 1)
    drawn = np.where(known == MISSING, 0, 10 ** (-(np.maximum(known.astype(float) - 24, 0)) / 80))[at]
    # What is very quiet is noise, and is not drawn.
    return bytes((255 * np.where(drawn < 0.06, 0, drawn)).astype(np.uint8))


def _from_pops(pops: Sequence[Pop], count: int) -> bytes:
    levels = bytearray(count)
    for pop in pops:
        first = pop.t_us // LEVEL_US
        last = min(count, -(-(pop.t_us + pop.samples * 1_000_000 // pop.rate_hz) // LEVEL_US))
        levels[first:last] = bytes([110]) * max(0, last - first)
    return bytes(levels)
