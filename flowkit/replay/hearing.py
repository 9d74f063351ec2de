"""What the user hears of the agent, read from a session's rows.

A user reacts to sound, not to decisions inside the pipeline. So what a prediction anchors the user's speech to is here:
when the agent's voice began, and when it ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowkit.engine import Fate, Row
from flowkit.figures.layout import Layout
from flowkit.messages import Hold, Interrupt, Play, PlaybackStarted, ReplyPlayed

_HEARD = frozenset({Play, PlaybackStarted, ReplyPlayed, Hold, Interrupt})


@dataclass(slots=True)
class AgentSound:
    """The agent's voice from its first frame to the end of the reply, or to a hold or interrupt.

    Short gaps within a reply, in which the next clause is awaited, belong to it.
    """

    epoch: int
    """The reply's."""
    began_us: int
    ended_us: int | None = None
    """None: it still sounds."""
    whole: bool = False
    """Whether the reply ended with it. Else it was cut off, or it still sounds."""
    clauses: list[int] = field(default_factory=list)
    """When each of its clauses begins."""

    @property
    def lasts_us(self) -> int | None:
        """How long it sounded; None while it does."""
        return None if self.ended_us is None else self.ended_us - self.began_us


@dataclass(slots=True)
class Hearing:
    """Follows the rows of a session with this layout. `sounds` is what was heard so far, in order."""

    layout: Layout
    sounds: list[AgentSound] = field(default_factory=list)
    _clause: tuple[int, int] = (-1, -1)
    _begun: list[int] = field(default_factory=list)
    """When the clauses of the newest reply begin. Its sounds share it."""

    def row(self, row: Row) -> None:
        """Handle the next row."""
        message = row.message
        # Most rows are of other kinds, such as frames.
        if type(message) not in _HEARD or row.fate is not Fate.HANDLED:
            return
        if isinstance(message, Play):
            self._plays(message)
        # Others that follow a reply's progress, such as an end-of-turn predictor, have a row for it too.
        elif isinstance(message, PlaybackStarted) and row.stage == self.layout.only("gate"):
            begun = self._begun if self._clause[0] == row.epoch else []
            self.sounds.append(AgentSound(row.epoch, message.at_us, clauses=begun))
        elif isinstance(message, ReplyPlayed) and row.stage == self.layout.only("gate"):
            self._ends(row)
        elif isinstance(message, Hold | Interrupt) and row.stage == self.layout.only("speaker"):
            self._silenced(-(-row.handled_us // self.layout.frame_us) * self.layout.frame_us)

    def _plays(self, play: Play) -> None:
        """Note where a clause begins. What plays first is known before the voice is noted."""
        if play.epoch != self._clause[0]:
            self._begun = []
        if (play.epoch, play.clause) != self._clause:
            self._clause = (play.epoch, play.clause)
            self._begun.append(play.at_us)

    def _ends(self, row: Row) -> None:
        # A reply without sound ends too, and then the last sound is of another one.
        if self.sounds and self.sounds[-1].epoch == row.epoch:
            last = self.sounds[-1]
            # A reply may end in the instant of a hold, which has silenced it already.
            last.ended_us, last.whole = last.ended_us or row.handled_us, True

    def _silenced(self, tick_us: int) -> None:
        """Nothing sounds from the device's next tick on. What was to begin only then never sounds."""
        if self.sounds and self.sounds[-1].ended_us is None:
            if self.sounds[-1].began_us >= tick_us:
                self.sounds.pop()
            else:
                self.sounds[-1].ended_us = tick_us
