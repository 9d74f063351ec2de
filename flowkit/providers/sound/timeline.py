"""What a sink has been told to sound, by time: pure, shared by every sink that is not a real device.

A sink pops frame by frame, as a device's callback does; what has been popped has been heard, and only what has not can
still be silenced. The pops are the truth about what sounded: a stale frame is a pop of an older epoch after the
interrupt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import Play

LONGEST_AHEAD_US = 60 * US_PER_S
"""How much sound may wait here. Playback hands over far less (its `lead`); more than this is a defect, and an error."""


@dataclass(frozen=True, slots=True)
class Pop:
    """`samples` samples that sounded from `t_us` on: a piece of clause `clause` of `epoch`, from its `first_sample`
    on."""

    t_us: int
    epoch: int
    clause: int
    first_sample: int
    samples: int
    rate_hz: int
    pcm: bytes


@dataclass(slots=True)
class _Held:
    """A Play of which samples `taken` to `end` are still to sound."""

    play: Play
    taken: int
    end: int

    def due_us(self, sample: int) -> int:
        return self.play.at_us + sample * US_PER_S // self.play.rate_hz

    def before(self, t_us: int) -> int:
        """How many of the Play's samples are due before `t_us`, at most up to `end`."""
        due = -(-max(0, t_us - self.play.at_us) * self.play.rate_hz // US_PER_S)
        return min(due, self.end)


class Timeline:
    """Sound by time. Times are microseconds on the session's clock and must not fall from pop to pop."""

    def __init__(self) -> None:
        self._held: deque[_Held] = deque()
        self._popped_us = 0

    def play(self, play: Play) -> None:
        """Hold samples until they are due. Raises ProviderError if more waits than playback may ever hand over
        ahead."""
        if not play.samples:
            return
        self._held.append(_Held(play, 0, play.samples))
        ahead_us = self.ends_us() - max(self._popped_us, self._held[0].due_us(self._held[0].taken))
        if ahead_us > LONGEST_AHEAD_US:
            raise ProviderError(f"speaker: more than {LONGEST_AHEAD_US // US_PER_S} s of sound was handed over ahead")

    def silence(self, at_us: int) -> None:
        """Drop every sample that is due at `at_us` or later and has not been popped."""
        for held in self._held:
            held.end = max(held.taken, held.before(at_us))
        self._held = deque(held for held in self._held if held.taken < held.end)

    def pop_until(self, t_us: int) -> list[Pop]:
        """Take what is due before `t_us`, oldest first, one Pop a Play; what came too late for its time sounds now."""
        pops = []
        while self._held and (held := self._held[0]).before(t_us) > held.taken:
            pops.append(self._pop(held, held.before(t_us)))
            if held.taken < held.end:
                break
            self._held.popleft()
        self._popped_us = max(self._popped_us, t_us)
        return pops

    def ends_us(self) -> int:
        """When the last held sample will have sounded; 0 if nothing is held."""
        return self._held[-1].due_us(self._held[-1].end) if self._held else 0

    def _pop(self, held: _Held, until: int) -> Pop:
        play, first = held.play, held.taken
        held.taken = until
        t_us = max(held.due_us(first), self._popped_us)
        pcm = play.pcm[2 * first : 2 * until]
        return Pop(t_us, play.epoch, play.clause, play.first_sample + first, until - first, play.rate_hz, pcm)
