"""When frames of the input ended, and so when the user's voice began and ended.

The ruler looks ahead, so it is asked for the voice's frames when a session is over. How late frames came is known before.
"""

from __future__ import annotations

from typing import NamedTuple

from flowkit.figures.reference import Reference
from flowkit.messages import Frames

_WINDOW = 256


class FrameClock:
    """How late frames come: by those that came soonest, for one may come late but none early. Of the last five to ten seconds, so
    that a device whose clock drifts does not move the ruler."""

    def __init__(self, frame_us: int) -> None:
        self.frame_us = frame_us
        self.frames = 0
        self._window = 0
        self._soonest_us: tuple[int | None, int | None] = (None, None)

    @property
    def late_us(self) -> int:
        """How long after its due time a frame comes."""
        return min((us for us in self._soonest_us if us is not None), default=0)

    def came(self, frames: Frames, at_us: int) -> None:
        """Frames were there at `at_us`."""
        behind = frames.index + frames.count
        late_us = at_us - behind * self.frame_us
        self.frames = max(self.frames, behind)
        before, now = self._soonest_us
        if (window := (behind - 1) // _WINDOW) != self._window:
            before, now, self._window = now if window == self._window + 1 else None, None, window
        self._soonest_us = (before, late_us if now is None else min(now, late_us))

    def ended_by(self, at_us: int) -> int:
        """How many frames had ended at `at_us`."""
        return max(0, (at_us - self.late_us) // self.frame_us)


class VoiceBegin(NamedTuple):
    """The pipeline noticed speech at `frame`; frames of `frame_us` came `late_us` late."""

    frame: int
    frame_us: int
    late_us: int

    def at_us(self, ruler: Reference | None) -> int:
        """When that speech began."""
        onset = None if ruler is None else ruler.onset(self.frame)
        return (self.frame if onset is None else onset) * self.frame_us + self.late_us


class VoiceEnd(NamedTuple):
    """Where the end of the user's voice is looked for: in the frames from `since` up to `until`, else at the pipeline's own
    `last_voiced` frame, else and at the latest at `decided_us`, when the utterance's end was decided. Frames of `frame_us` came
    `late_us` late."""

    since: int
    until: int
    last_voiced: int | None
    decided_us: int
    frame_us: int
    late_us: int

    def at_us(self, ruler: Reference | None) -> int:
        """When the user's last voiced frame ended, by the ruler as far as it has heard."""
        frame = None if ruler is None else ruler.last_voiced(self.since, self.until)
        if frame is None:
            frame = self.last_voiced
        return self.decided_us if frame is None else min(self.decided_us, (frame + 1) * self.frame_us + self.late_us)
