"""The ruler: one fixed detector of the user's voice over the recorded input, so that no pipeline's own VAD can move TTFA.

It sees levels only: of each frame the mean power of the sample differences (a first-order pre-emphasis, which keeps hum and fans
from hiding speech), in half decibels. It looks ahead and behind, as no live VAD may: a frame is voiced if its level, a median of
three, stands out of the noise floor of the 20 s around it, within a stretch that stands out clearly for 80 ms (no click does).
On 240 labelled recordings with noise down to 0 dB its last voiced frame is off by 11 ms in the median; webrtcvad, run over the
same recordings, by 116 ms at best (see docs/trace-format.md).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
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
_BEHIND = 3000
"""After so many frames that are not settled it looks unasked, so that no question takes long: a minute takes a millisecond."""


def frame_levels(pcm: NDArray[np.int16], before: int, frame_samples: int) -> NDArray[np.uint8]:
    """Levels of whole frames of signed 16-bit `pcm`; `before` is the sample ahead of it. 0 is full scale, 2 is -1 dB."""
    frames = len(pcm) // frame_samples
    samples = pcm[: frames * frame_samples].astype(np.float64) / 32768
    steps = np.diff(samples, prepend=before / 32768)
    power = (steps.reshape(frames, frame_samples) ** 2).mean(axis=1)
    levels: NDArray[np.uint8] = np.clip(np.round(-20 * np.log10(power + 1e-12)), 0, QUIETEST).astype(np.uint8)
    return levels


class Reference:
    """Levels by frame index, and where the user's voice is in them. Asked while frames still come, it goes by those that are there;
    what no later frame can change is worked out once."""

    def __init__(self, frame_samples: int = 320, levels: bytes = b"") -> None:
        self._frame_samples = frame_samples
        self._levels = bytearray(levels)
        self._last_sample = 0
        self._voiced = _Voiced()

    def add(self, index: int, pcm: bytes) -> bytes:
        """The frames from `index` on have this sound (whole frames). Returns their levels, a byte each."""
        samples = np.frombuffer(pcm, "<i2")
        levels = frame_levels(samples, self._last_sample, self._frame_samples).tobytes()
        if len(samples):
            self._last_sample = int(samples[-1])
        if len(self._levels) < index:
            self._levels.extend(bytes([MISSING]) * (index - len(self._levels)))
        self._levels[index : index + len(levels)] = levels
        self._voiced.changed(index)
        if self._voiced.behind(len(self._levels)) > _BEHIND:
            self._voiced.look(self._levels)
        return levels

    @property
    def levels(self) -> bytes:
        """All levels from frame 0 on; all that the ruler needs."""
        return bytes(self._levels)

    def last_voiced(self, since: int, until: int) -> int | None:
        """The last voiced frame in `since` <= frame < `until`, or None."""
        starts, ends = self._voiced.look(self._levels)
        i = bisect_left(starts, until) - 1
        last = min(ends[i], until) - 1 if i >= 0 else -1
        return last if last >= since else None

    def onset(self, frame: int) -> int | None:
        """The first voiced frame of the speech around `frame`: the stretch it lies in, or one that begins within a second."""
        starts, ends = self._voiced.look(self._levels)
        i = bisect_right(starts, frame) - 1
        if i < 0 or ends[i] + _JOIN_FRAMES <= frame:
            i += 1
            return starts[i] if i < len(starts) and starts[i] - frame <= _BLOCK else None
        while i > 0 and starts[i] - ends[i - 1] <= _JOIN_FRAMES:
            i -= 1
        return starts[i]


class _Voiced:
    """The voiced stretches. Those before frame `settled` stay as they are, whatever comes; there are `kept` of them."""

    def __init__(self) -> None:
        self.starts, self.ends = array("q"), array("q")
        self._settled = self._kept = 0
        self._whole = False

    def changed(self, index: int) -> None:
        """Levels from frame `index` on are new."""
        self._whole = False
        if index < self._settled + _BLOCK * _AROUND:
            self._settled = self._kept = 0

    def behind(self, frames: int) -> int:
        """How many of so many frames are not settled."""
        return frames - self._settled

    def look(self, levels: bytearray) -> tuple[Sequence[int], Sequence[int]]:
        """First frames, and frames behind the last, of all voiced stretches."""
        if self._whole:
            return self.starts, self.ends
        self._whole = True
        # The floor of the first unsettled frame is taken over blocks before it; the median needs one frame more.
        base = max(0, (self._settled // _BLOCK - _AROUND - 1) * _BLOCK)
        starts, ends, clear = _runs(np.frombuffer(bytes(levels[base:]), np.uint8), self._settled - base)
        starts, ends = starts + base, ends + base
        voiced = clear >= _CLEAR_FRAMES
        del self.starts[self._kept :], self.ends[self._kept :]
        self.starts.extend(starts[voiced].tolist())
        self.ends.extend(ends[voiced].tolist())
        # A level that is still to come may change the median of the frame before it, and so a block's floor.
        self._settle(starts, ends, voiced, ((len(levels) - 1) // _BLOCK - _AROUND) * _BLOCK)
        return self.starts, self.ends

    def _settle(self, starts: NDArray[Any], ends: NDArray[Any], voiced: NDArray[Any], until: int) -> None:
        """Frames before `until` have their floor. A run that goes on behind it is not over."""
        over = int(np.searchsorted(ends, until))
        self._kept += int(voiced[:over].sum())
        going_on = over < len(starts) and starts[over] < until
        self._settled = max(self._settled, int(starts[over]) if going_on else until)


def _runs(levels: NDArray[np.uint8], first: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Runs of frames that stand out of the floor, from frame `first` on: first frames, frames behind the last, and how many of each
    stand out clearly."""
    if len(levels) <= first:
        return (np.zeros(0, np.int64),) * 3
    smooth = _median_of_three(np.where(levels == MISSING, QUIETEST, levels).astype(np.int16))
    floor, peak = _floor_and_peak(smooth)
    limit = np.minimum(peak + _BELOW_PEAK, _SILENT)
    clear = (smooth < np.minimum(floor - _ENTER, limit))[first:]
    stay = (smooth < np.minimum(floor - _STAY, limit))[first:]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], stay.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    counts = np.concatenate(([0], np.cumsum(clear)))
    return starts + first, ends + first, counts[ends] - counts[starts]


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
