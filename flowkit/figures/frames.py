"""When frames of the input ended, and so when the user's voice began and ended.

How late frames arrive is known at once. Where the voice was is only asked when the session is over, because the
reference detector looks ahead.
"""

from __future__ import annotations

from typing import NamedTuple

from flowkit.figures.reference import Reference
from flowkit.messages import Frames

_WINDOW = 256


class FrameClock:
    """How late frames arrive.

    A frame may arrive late but not early, so the frames that came soonest show the usual delay. Only the last five to
    ten seconds count. So a device whose clock drifts does not shift the result.
    """

    def __init__(self, frame_us: int) -> None:
        self.frame_us = frame_us
        self.frames = 0
        self._window = 0
        self._soonest_us: tuple[int | None, int | None] = (None, None)

    @property
    def late_us(self) -> int:
        """How long after it has ended a frame usually arrives."""
        return min((us for us in self._soonest_us if us is not None), default=0)

    def came(self, frames: Frames, at_us: int) -> None:
        """Note that `frames` arrived at `at_us`."""
        behind = frames.index + frames.count
        late_us = at_us - behind * self.frame_us
        self.frames = max(self.frames, behind)
        # Two windows of 256 frames. The older one is dropped when a third begins.
        before, now = self._soonest_us
        if (window := (behind - 1) // _WINDOW) != self._window:
            before, now, self._window = now if window == self._window + 1 else None, None, window
        self._soonest_us = (before, late_us if now is None else min(now, late_us))

    def ended_by(self, at_us: int) -> int:
        """How many frames had ended at `at_us`."""
        return max(0, (at_us - self.late_us) // self.frame_us)


class VoiceBegin(NamedTuple):
    """The frame at which the pipeline noticed speech, and what is needed to turn it into a time."""

    frame: int
    frame_us: int
    late_us: int

    def at_us(self, reference: Reference | None) -> int:
        """When that speech began, by the reference detector if there is one."""
        onset = None if reference is None else reference.onset(self.frame)
        return (self.frame if onset is None else onset) * self.frame_us + self.late_us


class VoiceEnd(NamedTuple):
    """Where to look for the end of the user's voice.

    The reference detector looks in the frames from `since` up to `until`. If it finds no voice there, the pipeline's
    own `last_voiced` frame counts. Without that, and at the latest, the voice ended at `decided_us`, when the end of
    the utterance was decided. Frames have a length of `frame_us` and arrived `late_us` late.
    """

    since: int
    until: int
    last_voiced: int | None
    decided_us: int
    frame_us: int
    late_us: int

    def at_us(self, reference: Reference | None) -> int:
        """When the last voiced frame of the user ended."""
        frame = None if reference is None else reference.last_voiced(self.since, self.until)
        if frame is None:
            frame = self.last_voiced
        return self.decided_us if frame is None else min(self.decided_us, (frame + 1) * self.frame_us + self.late_us)
