"""How sure a prediction is: ranges of its figures, how likely its turns are, and what it rests on.

Times are integer microseconds here and milliseconds in JSON, as in every report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flowkit.clock import ms, whole_ms
from flowkit.plural import counted

_SURE = 0.95


class Sureness(StrEnum):
    """What may be said of a prediction."""

    CERTAIN = "certain"
    """Its turns are as predicted in nearly every world."""
    UNCERTAIN = "uncertain"
    """Some of its turns are otherwise in other worlds."""
    CANNOT_JUDGE = "cannot judge"
    """The recording cannot tell."""


@dataclass(frozen=True, slots=True)
class Range:
    """A range in which the truth lies nine times in ten. None: there is no such figure in any world."""

    low: int | None
    high: int | None

    def to_json(self, *, time: bool) -> list[float | None]:
        """Both ends; of a `time` in milliseconds."""
        return [end if end is None or not time else ms(end) for end in (self.low, self.high)]

    def told(self, *, time: bool) -> str:
        """The range for people."""
        ends = ("none" if end is None else str(whole_ms(end) if time else end) for end in (self.low, self.high))
        low, high = ends
        return (low if low == high else f"{low} to {high}") + " ms" * (time and self.low is not None)


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges of a session's figures."""

    ttfa_p50: Range
    ttfa_p95: Range
    turns: Range
    interrupts: Range

    def to_json(self) -> dict[str, Any]:
        """The ranges by the names of their figures."""
        return {
            "ttfa_p50_ms": self.ttfa_p50.to_json(time=True),
            "ttfa_p95_ms": self.ttfa_p95.to_json(time=True),
            "turns": self.turns.to_json(time=False),
            "interrupts": self.interrupts.to_json(time=False),
        }

    def __str__(self) -> str:
        turns = f"{counted(self.turns.told(time=False), 'turn')}, {self.interrupts.told(time=False)} interrupted"
        if self.ttfa_p50.low is None:  # nothing sounds in any world
            return turns
        return f"TTFA p50 {self.ttfa_p50.told(time=True)}, p95 {self.ttfa_p95.told(time=True)}; {turns}"


@dataclass(frozen=True, slots=True)
class TurnOdds:
    """How likely it is that a turn exists, and that it is interrupted: 0 to 1."""

    turn: int
    """Its number in the prediction; 0 for one that it does not have."""
    user: str
    exists: float
    interrupted: float

    @property
    def sure(self) -> bool:
        """Whether the turn is there, and ends as predicted, in nearly every world."""
        return bool(self.turn) and self.exists >= _SURE and not 1 - _SURE < self.interrupted < _SURE

    def __str__(self) -> str:
        return f"exists in {self.exists:.0%} of the worlds, interrupted in {self.interrupted:.0%}"

    def to_json(self) -> dict[str, Any]:
        """The odds in a report's JSON."""
        return {
            "turn": self.turn or None,
            "user": self.user,
            "exists": round(self.exists, 3),
            "interrupted": round(self.interrupted, 3),
        }


@dataclass(frozen=True, slots=True)
class Outlook:
    """How sure a prediction is."""

    worlds: int
    """How many worlds were drawn; 0 if there is nothing to draw."""
    this: Ranges
    """Of this conversation: the same talk with the change."""
    next: Ranges | None
    """Of the next one: another talk like it. None: not asked for."""
    turns: tuple[TurnOdds, ...]
    """The prediction's turns, then those that only other worlds have."""
    refusal: tuple[str, ...] = ()
    """Why the recording cannot tell, and what to record."""
    rests_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The manifest: what was ``recorded``, what is ``missing``, and what the prediction ``assumed`` and has ``drawn``."""

    @property
    def verdict(self) -> Sureness:
        """What may be said of the prediction."""
        if self.refusal:
            return Sureness.CANNOT_JUDGE
        return Sureness.CERTAIN if all(turn.sure for turn in self.turns) else Sureness.UNCERTAIN

    def unsure(self) -> dict[int, TurnOdds]:
        """The turns of the prediction that may be otherwise, by number."""
        return {odds.turn: odds for odds in self.turns if odds.turn and not odds.sure}

    def lines(self) -> Iterator[str]:
        """How sure the prediction is, for people."""
        yield from (f"This prediction is not certain, because {why}" for why in self.refusal)
        if self.worlds:
            yield f"Prediction for this conversation (90 % range): {self.this}"
        if self.next is not None:
            yield f"Prediction for the next conversation (90 % range): {self.next}"
        yield from (f"turn {number} {odds}" for number, odds in self.unsure().items())
        yield from (f"another turn, after {odds.user[:40]!r}, {odds}" for odds in self.turns if not odds.turn)

    def to_json(self) -> dict[str, Any]:
        """The object in a report's JSON."""
        return {
            "verdict": str(self.verdict),
            "worlds": self.worlds,
            "this_conversation": self.this.to_json(),
            "the_next_one": None if self.next is None else self.next.to_json(),
            "turns": [odds.to_json() for odds in self.turns],
            "refusal": list(self.refusal),
            "manifest": {name: list(entries) for name, entries in self.rests_on.items()},
        }
