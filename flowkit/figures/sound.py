"""What sounded, computed from the speaker's rows alone. Figures use it, so that playback is not measured by its own
code.

The device pops a frame at every tick of a fixed grid. A piece of audio continues the one before without a gap, or
begins at the next tick. A hold or an interrupt ends the sound at the next tick. What was not popped by then is kept
after a hold and discarded after an interrupt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flowkit.engine import Row
from flowkit.messages import Audio, EndOfReply, Hold, Interrupt, Resume

_US = 1_000_000


@dataclass(slots=True)
class _Piece:
    """Audio of `samples` samples at `rate_hz` that sounds from `at_us` to `ends_us`."""

    samples: int
    rate_hz: int
    at_us: int = 0
    ends_us: int = 0

    def due_by(self, now_us: int) -> int:
        """How many of its samples are due before `now_us`."""
        return min(self.samples, -(-max(0, now_us - self.at_us) * self.rate_hz // _US))


class SpeakerSound:
    """Follows the speaker's output row by row. `frame_us` is the distance of the device's ticks."""

    def __init__(self, frame_us: int) -> None:
        self.until_us = 0
        """When the last of the audio so far ends."""
        self.lost_us = 0
        """Length of the audio that the last interrupt discarded."""
        self.silenced = (0, 0)
        """For the last hold or interrupt that silenced the sound: when it was sent, and when the last sound ended."""
        self._frame_us = frame_us
        self._pieces: deque[_Piece] = deque()
        self._held = False
        self._open = False
        self._carry = 0
        self._run = (0, 0)
        """When the sound last began after a gap, and when the sound before the gap had ended."""

    def tick(self, now_us: int) -> int:
        """The first tick of the device at or after `now_us`."""
        return -(-now_us // self._frame_us) * self._frame_us

    def row(self, row: Row) -> None:
        """Handle a row that the speaker's stage handled."""
        now_us = row.handled_us
        match row.message:
            case Audio() as audio:
                self._audio(audio, now_us)
            case Hold():
                self._silence(now_us)
                self.silenced = (row.sent_us, self.until_us)
                self._held = True
            case Resume():
                self._resume(now_us)
            case Interrupt():
                # A hold has silenced the sound before, and its time is the one that counts.
                if not self._held:
                    self._silence(now_us)
                    self.silenced = (row.sent_us, self.until_us)
                self._drop()
            case EndOfReply():
                self._open = False

    def _playing(self, now_us: int) -> bool:
        """Whether there is sound, or a gap in a reply that has not ended."""
        return not self._held and (self._open or self.until_us > now_us)

    def _begin(self, at_us: int) -> None:
        self._run, self.until_us, self._carry = (at_us, self.until_us), at_us, 0

    def _place(self, piece: _Piece) -> None:
        """Put a piece directly after the last one. Fractions of a microsecond are carried over, so that errors do not
        add up."""
        whole_us, self._carry = divmod(piece.samples * _US + self._carry, piece.rate_hz)
        piece.at_us = self.until_us
        piece.ends_us = self.until_us = piece.at_us + whole_us

    def _audio(self, audio: Audio, now_us: int) -> None:
        tick_us = self.tick(now_us)
        if not self._playing(now_us) or self.until_us < tick_us:
            self._begin(tick_us)
        # What has sounded cannot be cut any more, and would pile up.
        while self._pieces and not self._held and self._pieces[0].ends_us <= now_us:
            self._pieces.popleft()
        piece = _Piece(audio.samples, audio.rate_hz)
        self._pieces.append(piece)
        self._place(piece)
        self._open = True

    def _silence(self, now_us: int) -> None:
        """End the sound at the next tick. What was not due by then stays."""
        if not self._playing(now_us):
            return
        cut_us = self.tick(now_us)
        for piece in self._pieces:
            gone = piece.due_by(cut_us)
            piece.samples -= gone
            piece.at_us = max(piece.at_us, cut_us)
        self._pieces = deque(piece for piece in self._pieces if piece.samples)
        self.until_us = min(self.until_us, cut_us)

    def _resume(self, now_us: int) -> None:
        """Continue after a hold, from the next tick."""
        if not self._held:
            return
        self._held = False
        if self._pieces:
            self._begin(self.tick(now_us))
        for piece in self._pieces:
            self._place(piece)

    def _drop(self) -> None:
        """Discard what was not played."""
        self.lost_us = sum(piece.samples * _US // piece.rate_hz for piece in self._pieces)
        self._pieces.clear()
        self._held = self._open = False
        began_us, before_us = self._run
        if self.until_us <= began_us:  # the sound was cut off before it began
            self.until_us = before_us
