"""What a replay draws where a recording cannot tell: one world after another, each with dice of its own.

Everything drawn has a name, such as the frame at which a piece of speech begins. So a world is the same on every run, and a
change that touches one thing leaves the dice of all others as they are. The first world is the middle one: nothing in it is
random, and each unknown has its most likely value.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from math import exp, log, pi, sqrt
from statistics import NormalDist, fmean, median

_NORMAL = NormalDist()
_USUAL_SPREAD, _WEIGHT = 0.25, 3
"""How much delays vary, as the standard deviation of their logarithm, before there are recorded ones. It counts as much as so
many recorded delays."""
_OF_MEDIAN = sqrt(pi / 2)
"""How much further a median of recorded delays may be from the true one than their mean: the ratio of the standard errors, for
normal values."""
LEAST_US = 1_000
"""What takes less takes no time: a logarithm would make much of it."""


class World(Enum):
    """Which unknowns are drawn."""

    MIDDLE = auto()
    """None."""
    THIS = auto()
    """Those of this conversation: what the recording does not hold, because it went another way."""
    NEXT = auto()
    """Those of another conversation like it: how long the providers take, too."""


@dataclass(slots=True)
class Chance:
    """The dice of one world."""

    world: World = World.MIDDLE
    seed: str = ""
    _shares: dict[tuple[str, tuple[object, ...]], float | None] = field(default_factory=dict)

    @property
    def drawn(self) -> list[str]:
        """What was drawn, or would be in another world than the middle one, for people."""
        return list(dict.fromkeys(what for what, _ in self._shares))

    @property
    def fresh(self) -> bool:
        """Whether the providers take another time than they took."""
        return self.world is World.NEXT

    def normal(self, what: str, *name: object) -> float:
        """A draw of the standard normal distribution; 0 in the middle world. `what` is drawn, for people."""
        share = self._share(what, name)
        # Extremes are left out: twenty worlds need no thousandth.
        return 0.0 if share is None else _NORMAL.inv_cdf(min(0.995, max(0.005, share)))

    def happens(self, likely: float, what: str, *name: object) -> bool:
        """Whether something of this probability happens; in the middle world, whether it is more likely than not."""
        share = self._share(what, name)
        return likely > 0.5 if share is None else share < likely

    def index(self, count: int, middle: int, what: str, *name: object) -> int:
        """One of `count` places; `middle` in the middle world."""
        share = self._share(what, name)
        return middle if share is None else min(count - 1, int(share * count))

    def part(self, whole: int, what: str, *name: object) -> int:
        """A part of `whole`, any one; half of it in the middle world."""
        share = self._share(what, name)
        return round(whole * (0.5 if share is None else share))

    def share(self, what: str, *name: object) -> float:
        """A share from 0 to 1 that is drawn in every world, the middle one too: no value of it is the likely one."""
        key = (what, name)
        if (share := self._shares.get(key)) is None:
            share = self._shares[key] = self._drawn(what, name)
        return share

    def _drawn(self, what: str, name: tuple[object, ...]) -> float:
        return random.Random(f"{self.seed}:{what}:{name}").random()

    def _share(self, what: str, name: tuple[object, ...]) -> float | None:
        key = (what, name)
        if key not in self._shares:  # the same thing may be asked for at every frame
            middle = self.world is World.MIDDLE
            self._shares[key] = None if middle else self._drawn(what, name)
        return self._shares[key]


@dataclass(frozen=True, slots=True)
class Delays:
    """How delays of one kind vary, as `count` recorded ones do: by factors whose logarithm is normal, around the middle."""

    middle_us: int
    spread: float
    """The standard deviation of the logarithm."""
    count: int

    def drawn_us(self, chance: Chance, what: str, *name: object) -> int:
        """A delay of this kind."""
        return round(self.middle_us * self.factor(chance, what, *name))

    def factor(self, chance: Chance, what: str, *name: object) -> float:
        """How many times the usual delay one takes. In one world all of them share what is unknown of the kind itself: its
        middle and its spread, of which few recorded delays tell little."""
        middle = _OF_MEDIAN * chance.normal(what, "of the kind") / sqrt(max(1, self.count))
        wider = exp(chance.normal(what, "how it varies") / sqrt(2 * (self.count + _WEIGHT)))
        return exp(self.spread * (middle + wider * chance.normal(what, *name)))


def delays_of(recorded_us: Sequence[int], otherwise_us: int = 0, usual_spread: float = _USUAL_SPREAD) -> Delays:
    """The delays of which these were recorded; about `otherwise_us` if there are none."""
    middle_us = round(median(recorded_us)) if recorded_us else otherwise_us
    known = [log(max(LEAST_US, us)) for us in recorded_us]
    return Delays(middle_us, spread_of(known, usual_spread), len(known))


def spread_of(logarithms: Sequence[float], usual: float = _USUAL_SPREAD) -> float:
    """The standard deviation of these, and of the usual one as if it were known from a few."""
    middle = fmean(logarithms) if logarithms else 0.0
    squares = sum((value - middle) ** 2 for value in logarithms)
    return sqrt((squares + _WEIGHT * usual**2) / (max(0, len(logarithms) - 1) + _WEIGHT))
