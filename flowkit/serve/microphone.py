"""A client's sound as frames of the session's microphone, whose indexes follow the session's clock.

A client may send nothing while nobody speaks. If its frames were merely counted, everything after such a pause would seem
to have been said earlier than it was, and a report's times would be wrong. So a pause leaves a gap in the indexes, as lost
blocks of a sound card do.
"""

from __future__ import annotations

from collections import deque

from flowkit.clock import US_PER_S
from flowkit.messages import Frames

PAUSE_US = US_PER_S
"""Sound that comes this much later than it should is behind a pause. What the network delays by less stays where it was said."""
_BLOCK = 25
"""How many frames are passed on as one message at most."""
_GAPS = 64
"""How many gaps are remembered, to tell a client a time in its own sound. Older ones are of no use by then."""


class Microphone:
    """Cuts PCM at `rate_hz` into frames of `frame_us`."""

    def __init__(self, rate_hz: int, frame_us: int) -> None:
        self.frame_us = frame_us
        self._size = 2 * rate_hz * frame_us // US_PER_S
        self._held = b""
        self._next: int | None = None
        self._gaps: deque[tuple[int, int]] = deque(maxlen=_GAPS)
        """For each gap the first frame behind it, and how many frames all gaps up to there have left out."""

    def hear(self, pcm: bytes, now_us: int) -> list[Frames]:
        """The frames that are whole now, at session time `now_us`."""
        self._held += pcm
        whole = len(self._held) // self._size
        if not whole:
            return []
        frames, index = [], self._index(whole, now_us)
        for first in range(0, whole, _BLOCK):
            count = min(_BLOCK, whole - first)
            part = self._held[first * self._size : (first + count) * self._size]
            frames.append(Frames(index + first, count, part))
        self._held = self._held[whole * self._size :]
        self._next = index + whole
        return frames

    def clear(self) -> None:
        """Forget the part of a frame that is not whole yet."""
        self._held = b""

    def ms(self, frame: int) -> int:
        """The time in the client's own sound, which has no gaps, at which a frame begins. In milliseconds."""
        left_out = next((left_out for first, left_out in reversed(self._gaps) if first <= frame), 0)
        return (frame - left_out) * self.frame_us // 1000

    def _index(self, count: int, now_us: int) -> int:
        """The index of the next of `count` frames, of which the last one ends now, or earlier."""
        latest = max(0, now_us // self.frame_us - count)
        if self._next is not None and (latest - self._next) * self.frame_us <= PAUSE_US:
            return self._next
        if left_out := latest - (self._next or 0):
            self._gaps.append((latest, left_out + (self._gaps[-1][1] if self._gaps else 0)))
        return latest
