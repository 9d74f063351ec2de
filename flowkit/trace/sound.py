"""What sounded, worked out from the speaker's rows alone: an independent account to measure playback by, not its own code.

The device pops a frame at every tick of a fixed grid. A piece of audio follows the one before without a gap, or begins with the
next tick; a hold or an interrupt ends the sound at the next tick, and what was not popped by then is kept or lost.
"""

from __future__ import annotations

from collections import deque

from flowkit.messages import Audio, EndOfReply, Hold, Interrupt, Message, Resume

_US = 1_000_000


class Sound:
    """The speaker's output, followed row by row. `until_us`: when the last of what it was given has sounded."""

    def __init__(self, frame_us: int) -> None:
        self._frame_us = frame_us
        self._pieces: deque[tuple[int, int]] = deque()
        self._held = False
        self._open = False
        self.until_us = 0
        self.lost_us = 0

    def tick(self, now_us: int) -> int:
        """The first tick of the device's grid at or after `now_us`."""
        return -(-now_us // self._frame_us) * self._frame_us

    def handle(self, message: Message, now_us: int) -> int:
        """Follow one handled row of the speaker. Returns how many items playback hands to the device for it."""
        if isinstance(message, Audio):
            return self._audio(message, now_us)
        if isinstance(message, Hold):
            fed = self._silence(now_us)
            self._held = True
            return fed
        if isinstance(message, Resume):
            return self._resume(now_us)
        if isinstance(message, Interrupt):
            return self._interrupt(now_us)
        if isinstance(message, EndOfReply):
            self._open = False
        return 0

    def _playing(self, now_us: int) -> bool:
        """Sounding, or in a gap of an unfinished reply."""
        return not self._held and (self._open or self.until_us > now_us)

    def _audio(self, audio: Audio, now_us: int) -> int:
        at_us = self.until_us if self._playing(now_us) and self.until_us >= now_us else self.tick(now_us)
        while self._pieces and self._pieces[0][1] <= now_us:
            self._pieces.popleft()
        self.until_us = at_us + audio.samples * _US // audio.rate_hz
        self._pieces.append((at_us, self.until_us))
        self._open = True
        return 0 if self._held else 1

    def _silence(self, now_us: int) -> int:
        if not self._playing(now_us):
            return 0
        cut_us = self.tick(now_us)
        still_open = self._open or self.until_us > cut_us
        self._pieces = deque((max(at_us, cut_us), end_us) for at_us, end_us in self._pieces if end_us > cut_us)
        self.until_us = min(self.until_us, cut_us)
        return 1 if still_open else 0

    def _resume(self, now_us: int) -> int:
        if not self._held:
            return 0
        self._held = False
        at_us = self.tick(now_us)
        pieces, self._pieces = self._pieces, deque()
        for begins_us, ends_us in pieces:
            self._pieces.append((at_us, at_us + ends_us - begins_us))
            at_us += ends_us - begins_us
        self.until_us = at_us if pieces else self.until_us
        return len(pieces)

    def _interrupt(self, now_us: int) -> int:
        fed = 0 if self._held else self._silence(now_us)
        self.lost_us = sum(end_us - at_us for at_us, end_us in self._pieces)
        self._pieces.clear()
        self._held = self._open = False
        return fed
