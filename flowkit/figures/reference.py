"""The reference detector: finds the user's voice in the recorded input, for figures only.

It is the same for every pipeline, so that no pipeline's own VAD can change TTFA.

It needs only levels: for each frame the mean power of the differences between samples, in half decibels. The
differences are a first-order pre-emphasis, which keeps hum and fans from hiding speech. It looks ahead and back, which
no live VAD can. A frame is voiced if its level, the median of three, is above the noise floor of the 20 s around it,
within a run of frames that are clearly above it for 80 ms. No click lasts that long.

On 240 labelled recordings with noise down to 0 dB its last voiced frame is off by 11 ms in the median. webrtcvad, run
on the same recordings, is off by 116 ms at best (see docs/internals/reference-detector.md).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = 255
"""The level of a frame that never arrived."""
QUIETEST = 200
"""The lowest level: 100 dB below full scale, or less."""
_BLOCK = 50
_AROUND = 10
"""Floor and peak are computed over this many blocks of 50 frames on either side."""
_FLOOR, _PEAK = 0.25, 0.95
_ENTER, _STAY, _BELOW_PEAK, _SILENT = 10, 4, 60, 140
"""Limits in half decibels. A frame is clearly voiced if it is `_ENTER` above the floor, and a run continues while it is
`_STAY` above. Frames more than `_BELOW_PEAK` below the peak or `_SILENT` below full scale are never voiced."""
_SPREAD = 12
"""The least distance between floor and peak of a part that is not silent. With less, it is all voice or all noise, and
its own floor does not count."""
# 80 ms at 20 ms a frame. No click lasts that long.
_CLEAR_FRAMES = 4
_JOIN_FRAMES = 10
"""Gaps up to 200 ms do not end speech when its onset is searched."""
_LOOK_AFTER = 3000
"""After this many frames that are not settled, the detector looks without being asked. So no question takes long: a
minute of audio takes a millisecond."""


def frame_levels(pcm: NDArray[np.int16], before: int, frame_samples: int) -> NDArray[np.uint8]:
    """The level of each whole frame in `pcm`, in half decibels below full scale (0 is full scale, 2 is -1 dB).

    Args:
        pcm: int16 samples, shape (n,).
        before: the sample before the first one.
        frame_samples: length of a frame.
    """
    frames = len(pcm) // frame_samples
    samples = np.empty(frames * frame_samples + 1)
    samples[0], samples[1:] = before, pcm[: frames * frame_samples]
    steps = (samples[1:] - samples[:-1]).reshape(frames, frame_samples)
    # In whole steps of a sample the sums are exact, whatever the order in which they are taken.
    power = np.einsum("ij,ij->i", steps, steps) / (frame_samples * 32768**2)
    # Digital silence has no power, and its logarithm would be infinite.
    levels: NDArray[np.uint8] = np.clip(np.round(-20 * np.log10(power + 1e-12)), 0, QUIETEST).astype(np.uint8)
    return levels


class Reference:
    """Levels by frame index, and where the user's voice is in them.

    It may be asked while frames still arrive, and then answers from the levels so far. What no later frame can change
    is computed only once.

    Args:
        frame_samples: length of a frame.
        levels: known levels, one byte for each frame.
    """

    def __init__(self, frame_samples: int = 320, levels: bytes = b"") -> None:
        self._frame_samples = frame_samples
        self._levels = bytearray(levels)
        self._last_sample = 0
        self._voiced = _Voiced()

    def add(self, index: int, pcm: bytes) -> bytes:
        """Add the sound of whole frames from index `index` on. Returns their levels, one byte each."""
        samples = np.frombuffer(pcm, "<i2")
        levels = frame_levels(samples, self._last_sample, self._frame_samples).tobytes()
        # The levels are of differences, so the next piece needs the sample before it.
        if len(samples):
            self._last_sample = int(samples[-1])
        # Frames that never arrived keep their place, or every later frame would move.
        if len(self._levels) < index:
            self._levels.extend(bytes([MISSING]) * (index - len(self._levels)))
        self._levels[index : index + len(levels)] = levels
        self._voiced.changed(index)
        if self._voiced.unsettled(len(self._levels)) > _LOOK_AFTER:
            self._voiced.look(self._levels)
        return levels

    @property
    def levels(self) -> bytes:
        """All levels from frame 0 on. The detector needs nothing else."""
        return bytes(self._levels)

    def voiced(self) -> Iterator[int]:
        """Yield the voiced frames."""
        for start, end in zip(*self._voiced.look(self._levels), strict=True):
            yield from range(start, end)

    def last_voiced(self, since: int, until: int) -> int | None:
        """The last voiced frame with `since` <= frame < `until`, or None."""
        starts, ends = self._voiced.look(self._levels)
        i = bisect_left(starts, until) - 1
        last = min(ends[i], until) - 1 if i >= 0 else -1
        return last if last >= since else None

    def onset(self, frame: int) -> int | None:
        """The first voiced frame of the speech around `frame`, or None.

        That is the voiced run around `frame` (or up to 200 ms before it), joined with earlier runs at most 200 ms
        apart. If there is none, it is the run that begins within a second after `frame`.
        """
        starts, ends = self._voiced.look(self._levels)
        i = bisect_right(starts, frame) - 1
        if i < 0 or ends[i] + _JOIN_FRAMES <= frame:
            i += 1
            return starts[i] if i < len(starts) and starts[i] - frame <= _BLOCK else None
        while i > 0 and starts[i] - ends[i - 1] <= _JOIN_FRAMES:
            i -= 1
        return starts[i]


class _Voiced:
    """The runs of voiced frames.

    Runs before frame `settled` cannot change any more, whatever arrives. There are `kept` of them.
    """

    def __init__(self) -> None:
        self.starts, self.ends = array("q"), array("q")
        self._settled = self._kept = 0
        self._current = False

    def changed(self, index: int) -> None:
        """Note that levels from frame `index` on are new."""
        self._current = False
        # A level that comes late is part of a floor that was taken as final.
        if index < self._settled + _BLOCK * _AROUND:
            self._settled = self._kept = 0

    def unsettled(self, frames: int) -> int:
        """How many of `frames` frames are not settled."""
        return frames - self._settled

    def look(self, levels: bytearray) -> tuple[Sequence[int], Sequence[int]]:
        """The first frames of all voiced runs, and the frames after their last."""
        if self._current:
            return self.starts, self.ends
        self._current = True
        # The floor of the first unsettled frame is taken over blocks before it; the median needs one frame more.
        base = max(0, (self._settled // _BLOCK - _AROUND - 1) * _BLOCK)
        # A copy, because a bytearray cannot grow while an array looks into it.
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
        """Settle the frames before `until`, whose floor is final. A run that continues after `until` is not over."""
        over = int(np.searchsorted(ends, until))
        self._kept += int(voiced[:over].sum())
        unfinished = over < len(starts) and starts[over] < until
        self._settled = max(self._settled, int(starts[over]) if unfinished else until)


def _runs(levels: NDArray[np.uint8], first: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The runs of frames above the noise floor from frame `first` on.

    Returns their first frames, the frames after their last, and how many frames of each are clearly above the floor.
    """
    if len(levels) <= first:
        return (np.zeros(0, np.int64),) * 3
    # The mark of a missing frame is outside the range of the histogram, and no sound came.
    smooth = _median_of_three(np.where(levels == MISSING, QUIETEST, levels).astype(np.int16))
    floor, peak = _floor_and_peak(smooth)
    limit = np.minimum(peak + _BELOW_PEAK, _SILENT)
    clear = (smooth < np.minimum(floor - _ENTER, limit))[first:]
    stay = (smooth < np.minimum(floor - _STAY, limit))[first:]
    # A run begins where `stay` becomes true and ends where it becomes false. The zeros close runs at either end.
    edges = np.flatnonzero(np.diff(np.concatenate(([0], stay.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    counts = np.concatenate(([0], np.cumsum(clear)))
    return starts + first, ends + first, counts[ends] - counts[starts]


def _median_of_three(x: NDArray[np.int16]) -> NDArray[np.int16]:
    padded = np.concatenate((x[:1], x, x[-1:]))
    a, b, c = padded[:-2], padded[1:-1], padded[2:]
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _floor_and_peak(smooth: NDArray[np.int16]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each frame the floor, exceeded by three quarters of the frames around it, and the peak, exceeded by a
    twentieth.

    Computed from histograms of blocks, whose running sums give every window at once. A percentile for each block would
    take most of a replay's time.
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
    """For each row of `counts` (frames by level) the level at quantile `share` of loudness.

    Levels count downwards, so the loud end comes first.
    """
    below = np.cumsum(counts, axis=1) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    level: NDArray[Any] = (below < 1 - share).sum(axis=1)
    return level
