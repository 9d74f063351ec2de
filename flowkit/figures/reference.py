"""The ruler: one fixed detector of the user's voice over the recorded input, so that no pipeline's own VAD can move TTFA.

It sees levels only: of each frame the mean power of the sample differences (a first-order pre-emphasis, which keeps hum and fans
from hiding speech), in half decibels. It looks ahead and behind, as no live VAD may: a frame is voiced if its level, a median of
three, stands out of the noise floor of the 20 s around it, within a stretch that stands out clearly for 80 ms (no click does).
On 240 labelled recordings with noise down to 0 dB its last voiced frame is off by 11 ms in the median; webrtcvad, run over the
same recordings, by 116 ms at best (see docs/trace-format.md).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = 255
"""Level of a frame that was never seen."""
QUIETEST = 200
"""The quietest level: 100 dB below full scale, or less."""
_BLOCK = 50
_AROUND = 10
"""Floor and peak are taken over this many blocks of 50 frames to either side."""
_FLOOR, _PEAK = 0.25, 0.95
_ENTER, _STAY, _BELOW_PEAK, _SILENT = 10, 4, 60, 140
"""In half decibels: above the floor to be clear, above it to stay voiced, below the peak at most, below full scale at most."""
_SPREAD = 12
"""Between floor and peak of what is not silent: less, and it is all voice or all noise."""
_CLEAR_FRAMES = 4
_JOIN_FRAMES = 10
"""Gaps up to 200 ms do not end a stretch of speech when its onset is asked for."""


def frame_levels(pcm: NDArray[np.int16], before: int, frame_samples: int) -> NDArray[np.uint8]:
    """Levels of whole frames of signed 16-bit `pcm`; `before` is the sample ahead of it. 0 is full scale, 2 is -1 dB."""
    frames = len(pcm) // frame_samples
    samples = pcm[: frames * frame_samples].astype(np.float64) / 32768
    steps = np.diff(samples, prepend=before / 32768)
    power = (steps.reshape(frames, frame_samples) ** 2).mean(axis=1)
    levels: NDArray[np.uint8] = np.clip(np.round(-20 * np.log10(power + 1e-12)), 0, QUIETEST).astype(np.uint8)
    return levels


class Reference:
    """Levels by frame index, and where the user's voice is in them."""

    def __init__(self, frame_samples: int = 320, levels: bytes = b"") -> None:
        self._frame_samples = frame_samples
        self._levels = bytearray(levels)
        self._last_sample = 0
        self._stretches: tuple[list[int], list[int]] | None = None

    def add(self, index: int, pcm: bytes) -> bytes:
        """The frames from `index` on have this sound (whole frames). Returns their levels, a byte each."""
        samples = np.frombuffer(pcm, "<i2")
        levels = frame_levels(samples, self._last_sample, self._frame_samples).tobytes()
        if len(samples):
            self._last_sample = int(samples[-1])
        if len(self._levels) < index:
            self._levels.extend(bytes([MISSING]) * (index - len(self._levels)))
        self._levels[index : index + len(levels)] = levels
        self._stretches = None
        return levels

    @property
    def levels(self) -> bytes:
        """All levels from frame 0 on; all that the ruler needs."""
        return bytes(self._levels)

    def last_voiced(self, since: int, until: int) -> int | None:
        """The last voiced frame in `since` <= frame < `until`, or None."""
        starts, ends = self._voiced()
        i = bisect_left(starts, until) - 1
        last = min(ends[i], until) - 1 if i >= 0 else -1
        return last if last >= since else None

    def onset(self, frame: int) -> int | None:
        """The first voiced frame of the speech around `frame`: the stretch it lies in, or one that begins within a second."""
        starts, ends = self._voiced()
        i = bisect_right(starts, frame) - 1
        if i < 0 or ends[i] + _JOIN_FRAMES <= frame:
            i += 1
            return starts[i] if i < len(starts) and starts[i] - frame <= _BLOCK else None
        while i > 0 and starts[i] - ends[i - 1] <= _JOIN_FRAMES:
            i -= 1
        return starts[i]

    def _voiced(self) -> tuple[list[int], list[int]]:
        if self._stretches is None:
            self._stretches = _stretches(np.frombuffer(bytes(self._levels), np.uint8))
        return self._stretches


def _stretches(levels: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """First frames, and frames behind the last, of the voiced stretches."""
    if not len(levels):
        return [], []
    smooth = _median_of_three(np.where(levels == MISSING, QUIETEST, levels).astype(np.int16))
    floor, peak = _floor_and_peak(smooth)
    limit = np.minimum(peak + _BELOW_PEAK, _SILENT)
    clear = smooth < np.minimum(floor - _ENTER, limit)
    stay = smooth < np.minimum(floor - _STAY, limit)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], stay.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    counts = np.concatenate(([0], np.cumsum(clear)))
    kept = counts[ends] - counts[starts] >= _CLEAR_FRAMES
    return starts[kept].tolist(), ends[kept].tolist()


def _median_of_three(x: NDArray[np.int16]) -> NDArray[np.int16]:
    padded = np.concatenate((x[:1], x, x[-1:]))
    a, b, c = padded[:-2], padded[1:-1], padded[2:]
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _floor_and_peak(smooth: NDArray[np.int16]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Levels that a quarter of the frames around fall short of, and that a twentieth exceed, a frame each.

    By histograms of blocks, whose running sums give every window at once: a percentile a block would cost most of a replay.
    """
    blocks = -(-len(smooth) // _BLOCK)
    counts = np.zeros((blocks + 1, QUIETEST + 1), np.int64)
    np.add.at(counts, (np.arange(len(smooth)) // _BLOCK + 1, smooth), 1)
    sums = np.cumsum(counts, axis=0)
    here = np.arange(blocks)
    window = sums[np.minimum(here + _AROUND + 1, blocks)] - sums[np.maximum(here - _AROUND, 0)]
    floor, peak = _level_at(window, _FLOOR), _level_at(window, _PEAK)
    # A file's end, or a gate in the microphone, is no noise floor: where the rest has one of its own, that counts.
    sounding = window.copy()
    sounding[:, QUIETEST] = 0
    own_floor, own_peak = _level_at(sounding, _FLOOR), _level_at(sounding, _PEAK)
    own = (window[:, QUIETEST] > 0) & (own_floor - own_peak >= _SPREAD)
    floor, peak = np.where(own, own_floor, floor), np.where(own, own_peak, peak)
    return np.repeat(floor, _BLOCK)[: len(smooth)], np.repeat(peak, _BLOCK)[: len(smooth)]


def _level_at(counts: NDArray[np.int64], share: float) -> NDArray[Any]:
    """For each row of counts by level the level that `share` of the frames fall short of. Levels count downwards: the loud end
    comes first."""
    below = np.cumsum(counts, axis=1) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    level: NDArray[Any] = (below < 1 - share).sum(axis=1)
    return level
