"""Decides which segment of audio an ASR decodes next, for a model that decodes a growing buffer again and again. No
I/O.

A segment starts a little before the frame at which the VAD noticed speech. While the user speaks, it is decoded from
time to time for a partial transcript, and once more as soon as the user has been quiet for a moment: if the utterance
has ended, this is already the final transcript. A segment that is too long for the model is split at its quietest
place, and the first part is committed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from flowkit.messages import EndOfUtterance, Frames

PRE_ROLL_US = 300_000
"""Audio decoded before the frame at which the VAD noticed speech, for a soft first consonant. It never belongs to the
utterance before."""
TAIL_US = 200_000
"""Audio decoded after the last voiced frame, for a soft last consonant."""
SETTLED_US = 100_000
"""A transcript of the audio up to this long after the last voiced frame is as good as one of the whole tail. That is the last
frame for the VAD or for the loudness, whichever is earlier: a VAD may report voice for a tenth of a second too long. So after
so much quiet a segment may be complete, and is decoded at once."""
IDLE_US = 2_000_000
"""Audio kept while nobody speaks: the pre-roll, and the time that a VAD may take to notice speech."""
CUT_WITHIN_US = 3_000_000
"""A segment that is too long is split at the quietest frame of its last part, which is this long."""
QUIET_SHARE = 3e-4
"""A frame is quiet if it is 35 dB below the loudest frame of the segment (a final "s" is 26 dB below it) ..."""
FLOOR_RISE = 4.0
"""... or, in a noisy room, at most 6 dB above the quietest tenth of the segment, which the pre-roll provides."""
_LONGEST_GAP = 1_500
"""Lost frames that are taken for silence: half a minute, as long as the longest segment of any model."""


class Purpose(Enum):
    """Why a segment is decoded."""

    PARTIAL = "partial"
    """For a partial transcript. The segment will be decoded again with more audio."""
    COMMIT = "commit"
    """The segment has become too long. Its text is kept, and the utterance continues in the next segment."""
    FINAL = "final"
    """The utterance has ended."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames `first` to `until` (exclusive) of the input, as s16le. `loudest` is the mean square of the loudest frame.

    If `settled` is set, a transcript of `first` to `settled` is as good. For FINAL, `utterance` is the number of the utterance.
    """

    purpose: Purpose
    first: int
    until: int
    pcm: bytes
    loudest: float
    settled: int = 0
    utterance: int = 0


class RecentFrames:
    """The last frames of the input, by index. Each has `samples` samples. Lost frames are silence."""

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
        """Append frames. They must come in the order of their index."""
        import numpy as np

        lost = max(0, frames.index - self.until)
        # Minutes of silence would take long to compare, and no segment is that long.
        if lost > _LONGEST_GAP:
            self._pcm.clear()
            self._loudness.clear()
            self.first, lost = frames.index, 0
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
        """The mean square of each of the frames `first` to `until`, as far as they are kept."""
        return self._loudness[max(0, first - self.first) : max(0, until - self.first)]


class Utterances:
    """Takes what the ASR stage feeds, and returns the segments to decode.

    Args:
        samples: Samples in a frame.
        frame_us: Length of a frame in microseconds.
        every_us: Time between two partial transcripts in microseconds. 0: none.
        longest_us: Longest segment in microseconds.
        eager: Whether to decode a segment as soon as it may be complete.
        ahead_us: Silence in microseconds after which it is decoded once before that. 0: not.
    """

    def __init__(
        self, samples: int, frame_us: int, every_us: int, longest_us: int, *, eager: bool = True, ahead_us: int = 0
    ) -> None:
        self._frame_us = frame_us
        self._every = every_us // frame_us
        self._silences = [us // frame_us for us in (SETTLED_US, ahead_us) if us and eager]
        """After so many quiet frames a segment is decoded at once, the longest first."""
        self._eager = eager
        self._longest = longest_us // frame_us
        self._recording = RecentFrames(samples)
        self._begins: int | None = None
        self._behind = 0
        self._starts: list[int] = []
        self._decoded = 0

    def hear(self, frames: Frames) -> Segment | None:
        """Add frames. Returns a COMMIT if the segment has become too long."""
        recording = self._recording
        recording.add(frames)
        if self._begins is None:
            recording.forget_before(recording.until - self._count(IDLE_US))
            return None
        if recording.until - self._begins < self._longest:
            return None
        commit = self._segment(Purpose.COMMIT, self._begins, self._quietest())
        self._begin(commit.until)
        return commit

    def speech_started(self, frame: int) -> None:
        """The user started to speak at `frame`, or continued after a pause."""
        if self._begins is None:
            self._begin(max(frame - self._count(PRE_ROLL_US), self._behind))
        else:
            self._starts.append(frame)

    def partial(self) -> Segment | None:
        """The segment to decode now for a partial transcript, or None. Call it when the model is free."""
        recording, begins = self._recording, self._begins
        if begins is None:
            return None
        voiced = self._last_voiced(begins)
        quiet = recording.until - 1 - voiced
        if silence := next((silence for silence in self._silences if quiet >= silence), 0):
            due = self._decoded <= voiced + silence
        else:
            # If the user has just become quiet, the model has to be free: soon it is either the end or speech again.
            due = not quiet and 0 < self._every <= recording.until - self._decoded
        return self._segment(Purpose.PARTIAL, begins, recording.until) if due else None

    def paused(self) -> Segment | None:
        """The segment to decode when the VAD has noticed a pause, or None if nobody spoke or it is not eager."""
        until = self._recording.until
        if not self._eager or self._begins is None or self._decoded >= until:
            return None
        segment = self._segment(Purpose.PARTIAL, self._begins, until)
        return replace(segment, settled=min(until, self._last_voiced(self._begins) + 1 + self._count(SETTLED_US)))

    def ended(self, end: EndOfUtterance) -> Segment:
        """The last segment of the utterance. Speech that started after its end belongs to the next utterance."""
        begins = self._recording.until if self._begins is None else self._begins
        until = min(end.last_voiced + 1 + self._count(TAIL_US), self._recording.until)
        final = self._segment(Purpose.FINAL, begins, max(begins, until), end)
        later = [frame for frame in self._starts if frame > end.last_voiced]
        self._begins, self._behind = None, end.last_voiced + 1
        self._starts = later[1:]
        if later:
            self.speech_started(later[0])
        return final

    def _begin(self, frame: int) -> None:
        self._recording.forget_before(frame)
        self._begins = self._decoded = max(frame, self._recording.first)

    def _segment(self, purpose: Purpose, first: int, until: int, end: EndOfUtterance | None = None) -> Segment:
        self._decoded = until
        pcm, loudest = self._recording.pcm(first, until), max(self._recording.loudness(first, until), default=0.0)
        if end is None:
            return Segment(purpose, first, until, pcm, loudest)
        voiced = min(end.last_voiced, self._last_voiced(first))
        settled = min(voiced + 1 + self._count(SETTLED_US), until)
        return Segment(purpose, first, until, pcm, loudest, settled, end.utterance)

    def _last_voiced(self, begins: int) -> int:
        """The last frame of the segment that is not quiet."""
        loudness = self._recording.loudness(begins, self._recording.until)
        if not loudness:
            return begins
        floor = sorted(loudness)[len(loudness) // 10]
        limit = max(QUIET_SHARE * max(loudness), FLOOR_RISE * floor)
        last = len(loudness) - 1
        return begins + next((i for i in range(last, -1, -1) if loudness[i] > limit), last)

    def _quietest(self) -> int:
        """Where to split a segment that is too long: after the quietest frame of its last part."""
        # At most half of the segment, or a small `longest` would be split near its beginning.
        first = self._recording.until - min(self._count(CUT_WITHIN_US), self._longest // 2)
        loudness = self._recording.loudness(first, self._recording.until)
        return first + min(range(len(loudness)), key=loudness.__getitem__) + 1

    def _count(self, us: int) -> int:
        return us // self._frame_us
