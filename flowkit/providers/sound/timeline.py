"""The audio that a sink has to play, ordered by time. Shared by all sinks that are not real devices. No I/O.

A sink pops audio frame by frame, as a device's callback does. Popped audio has been heard; only the rest can still be
silenced. A pop of an older epoch after an interrupt is a stale frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import Play

LONGEST_AHEAD_US = 60 * US_PER_S
"""The most audio that may wait here. Playback sends far less ahead (its option `lead`), so more is an error."""


@dataclass(frozen=True, slots=True)
class Pop:
    """Audio that was played from session time `t_us` on: `samples` samples of a clause, starting at its
    `first_sample`."""

    t_us: int
    epoch: int
    clause: int
    first_sample: int
    samples: int
    rate_hz: int
    pcm: bytes


@dataclass(slots=True)
class _Held:
    """A Play whose samples `taken` to `end` are still to be played."""

    play: Play
    taken: int
    end: int

    def due_us(self, sample: int) -> int:
        return self.play.at_us + sample * US_PER_S // self.play.rate_hz

    def before(self, t_us: int) -> int:
        """How many of the Play's samples are due before `t_us`, at most `end`."""
        due = -(-max(0, t_us - self.play.at_us) * self.play.rate_hz // US_PER_S)
        return min(due, self.end)


class Timeline:
    """Audio by time. Times are session times in microseconds, and must not decrease from pop to pop."""

    def __init__(self) -> None:
        self._held: deque[_Held] = deque()
        self._popped_us = 0

    def play(self, play: Play) -> None:
        """Add audio to play. Raises ProviderError if more than ``LONGEST_AHEAD_US`` waits."""
        if not play.samples:
            return
        self._held.append(_Held(play, 0, play.samples))
        ahead_us = self.ends_us() - max(self._popped_us, self._held[0].due_us(self._held[0].taken))
        if ahead_us > LONGEST_AHEAD_US:
            raise ProviderError(f"speaker: more than {LONGEST_AHEAD_US // US_PER_S} s of audio was sent ahead")

    def silence(self, at_us: int) -> None:
        """Drop every sample that is due at `at_us` or later and has not been popped."""
        for held in self._held:
            held.end = max(held.taken, held.before(at_us))
        self._held = deque(held for held in self._held if held.taken < held.end)

    def pop_until(self, t_us: int) -> list[Pop]:
        """Remove the audio that is due before `t_us`, oldest first, one Pop for each Play. Audio that came late is
        played now."""
        pops = []
        while self._held and (held := self._held[0]).before(t_us) > held.taken:
            pops.append(self._pop(held, held.before(t_us)))
            if held.taken < held.end:
                break
            self._held.popleft()
        self._popped_us = max(self._popped_us, t_us)
        return pops

    def ends_us(self) -> int:
        """When the last waiting sample ends; 0 if nothing waits."""
        return self._held[-1].due_us(self._held[-1].end) if self._held else 0

    def _pop(self, held: _Held, until: int) -> Pop:
        play, first = held.play, held.taken
        held.taken = until
        t_us = max(held.due_us(first), self._popped_us)
        pcm = play.pcm[2 * first : 2 * until]
        return Pop(t_us, play.epoch, play.clause, play.first_sample + first, until - first, play.rate_hz, pcm)
