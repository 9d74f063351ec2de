"""Bookkeeping of an ASR that decodes a growing buffer again and again: which stretch of sound to decode next. Pure.

Frames are kept from a little before the user began to speak (detectors notice late). While the user speaks, the stretch
is decoded now and then for a partial transcript, and once more as soon as it has been quiet for a moment: if that was
the end, its text is the final transcript already. A stretch too long for the model is committed up to its quietest
place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flowkit.messages import EndOfUtterance, Frames

PRE_ROLL_US = 300_000
"""Sound taken before the frame at which speech was noticed: a soft first consonant."""
TAIL_US = 200_000
"""Sound decoded behind the last voiced frame: a soft last consonant."""
QUIET_US = 240_000
"""Quiet for this long, a stretch may be complete, and is decoded without waiting for its turn. More than SETTLED_US by as
much as a detector may hear a voice longer than its loudness tells."""
SETTLED_US = 100_000
"""A transcript of everything up to this far behind the last voiced frame is as good as one of the whole tail."""
IDLE_US = 2_000_000
"""Sound kept while nobody speaks: the pre-roll, and what a detector may take to notice."""
CUT_WITHIN_US = 3_000_000
"""A stretch that is too long is cut at the quietest frame of this much of its end."""
QUIET_SHARE = 3e-4
"""Quiet is 35 dB under the loudest frame of the stretch (a last "s" is 26 dB under it) ..."""
FLOOR_RISE = 4.0
"""... or, in a noisy room, at most 6 dB over the quietest tenth of it; the pre-roll makes sure that there is one."""

PAUSING = 2
"""Frames of quiet that occur within words; with more, a partial transcript waits for what comes of it."""


class Purpose(Enum):
    """Why a stretch is decoded."""

    PARTIAL = "partial"
    """To show; it will be decoded again, longer."""
    COMMIT = "commit"
    """Its text stands; the utterance goes on behind it."""
    FINAL = "final"
    """The utterance has ended."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `first` to `until` (exclusive) of the input, s16le; `loudest` is the mean square of its loudest frame.
    For a FINAL: a transcript of `first` up to `settled` is as good, and `utterance` is its number."""

    purpose: Purpose
    first: int
    until: int
    pcm: bytes
    loudest: float
    settled: int = 0
    utterance: int = 0


class RecentFrames:
    """The last frames of the input, by index. `samples` is a frame's length. Frames that were lost are silence."""

    def __init__(self, samples: int) -> None:
        self._bytes = 2 * samples
        self._pcm = bytearray()
        self._loudness: list[float] = []
        self.first = 0

    @property
    def until(self) -> int:
        """One more than the newest frame's index."""
        return self.first + len(self._loudness)

    def add(self, frames: Frames) -> None:
        """Append frames, which come in order of their index."""
        import numpy as np

        lost = max(0, frames.index - self.until)
        pcm = bytes(lost * self._bytes) + frames.pcm.ljust(frames.count * self._bytes, b"\0")
        by_frame = np.frombuffer(pcm, "<i2").reshape(lost + frames.count, -1).astype(np.float32)
        self._pcm += pcm
        self._loudness += (by_frame**2).mean(axis=1).tolist()

    def forget_before(self, frame: int) -> None:
        """Drop the frames before `frame`."""
        gone = min(max(0, frame - self.first), len(self._loudness))
        del self._pcm[: gone * self._bytes]
        del self._loudness[:gone]
        self.first += gone

    def pcm(self, first: int, until: int) -> bytes:
        """The samples of frames `first` to `until`, as far as they are kept."""
        return bytes(self._pcm[max(0, first - self.first) * self._bytes : (until - self.first) * self._bytes])

    def loudness(self, first: int, until: int) -> list[float]:
        """The mean square of each of these frames."""
        return self._loudness[max(0, first - self.first) : max(0, until - self.first)]


class Utterances:
    """Takes what the ASR stage feeds, and says what to decode. `every_us`: between partials; `longest_us`: of a
    stretch."""

    def __init__(self, samples: int, frame_us: int, every_us: int, longest_us: int) -> None:
        self._frame_us = frame_us
        self._every = every_us // frame_us
        self._longest = longest_us // frame_us
        self._recording = RecentFrames(samples)
        self._begins: int | None = None
        self._starts: list[int] = []
        self._decoded = 0

    def hear(self, frames: Frames) -> Stretch | None:
        """Keep frames; returns a COMMIT if the stretch has become too long."""
        recording = self._recording
        recording.add(frames)
        if self._begins is None:
            recording.forget_before(recording.until - self._count(IDLE_US))
            return None
        if recording.until - self._begins < self._longest:
            return None
        commit = self._stretch(Purpose.COMMIT, self._begins, self._quietest())
        self._begin(commit.until)
        return commit

    def speech_started(self, frame: int) -> None:
        """The user began to speak, or went on after a pause: at most one mark in a detector's minimum of silence."""
        if self._begins is None:
            self._begin(frame - self._count(PRE_ROLL_US))
        else:
            self._starts.append(frame)

    def partial(self) -> Stretch | None:
        """What to decode now for a partial transcript, if anything: call it whenever the model is free."""
        recording, begins = self._recording, self._begins
        if begins is None:
            return None
        voiced = self._last_voiced(begins)
        quiet = recording.until - 1 - voiced
        if quiet >= self._count(QUIET_US):
            due = self._decoded <= voiced + self._count(SETTLED_US)
        else:
            # Just fallen quiet: in a moment it is either the end, to be decoded whole, or the voice has gone on.
            due = quiet <= PAUSING and recording.until - self._decoded >= self._every
        return self._stretch(Purpose.PARTIAL, begins, recording.until) if due else None

    def ended(self, end: EndOfUtterance) -> Stretch:
        """The last stretch of the utterance. What began behind its end belongs to the next one."""
        begins = self._recording.until if self._begins is None else self._begins
        until = min(end.last_voiced + 1 + self._count(TAIL_US), self._recording.until)
        final = self._stretch(Purpose.FINAL, begins, max(begins, until), end)
        later = [frame for frame in self._starts if frame > end.last_voiced]
        self._begins = None
        self._starts = later[1:]
        if later:
            self._begin(max(later[0] - self._count(PRE_ROLL_US), end.last_voiced + 1))
        return final

    def _begin(self, frame: int) -> None:
        self._recording.forget_before(frame)
        self._begins = self._decoded = max(frame, self._recording.first)

    def _stretch(self, purpose: Purpose, first: int, until: int, end: EndOfUtterance | None = None) -> Stretch:
        self._decoded = until
        pcm, loudest = self._recording.pcm(first, until), max(self._recording.loudness(first, until), default=0.0)
        if end is None:
            return Stretch(purpose, first, until, pcm, loudest)
        settled = min(end.last_voiced + 1 + self._count(SETTLED_US), until)
        return Stretch(purpose, first, until, pcm, loudest, settled, end.utterance)

    def _last_voiced(self, begins: int) -> int:
        """The last frame of the stretch that is not quiet, by its loudness."""
        loudness = self._recording.loudness(begins, self._recording.until)
        if not loudness:
            return begins
        floor = sorted(loudness)[len(loudness) // 10]
        limit = max(QUIET_SHARE * max(loudness), FLOOR_RISE * floor)
        last = len(loudness) - 1
        return begins + next((i for i in range(last, -1, -1) if loudness[i] > limit), last)

    def _quietest(self) -> int:
        """Where to cut a stretch that is too long: behind the quietest frame of its last seconds."""
        first = self._recording.until - min(self._count(CUT_WITHIN_US), self._longest // 2)
        loudness = self._recording.loudness(first, self._recording.until)
        return first + min(range(len(loudness)), key=loudness.__getitem__) + 1

    def _count(self, us: int) -> int:
        return us // self._frame_us
