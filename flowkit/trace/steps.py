"""The steps of a journal chunk that have one shape, as the columns in which they are stored.

A column stays packed until somebody asks for it, for hardly anybody looks into a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from operator import sub
from typing import Any, NamedTuple

from flowkit.errors import TraceError
from flowkit.messages import Credit, Frames, Message, Probability, Timer
from flowkit.trace.columns import NUMBERS, WHOLE, shifted, unpacked
from flowkit.trace.rows import FATES, kind_named, messages_of
from flowkit.trace.wiring import Relay, Wiring


class Ear(Enum):
    """What a quiet step is. It is one only where its columns show nothing unusual."""

    FRAME = Frames
    ANSWER = Probability
    CREDIT = Credit


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What the steps of a letter have in common, stages by index (`cause` is -1 for none). `members`: every stage that has a row
    of a step; `ear`: what a quiet step of this shape is; `early`: it is at a stage that a frame or an answer comes to first;
    `relay`: the number of the one that it is of, for something goes through that, or its taker wakes up or
    hears from its device; else -1."""

    stage: int
    kind: type[Message]
    cause: int
    fate: str
    followers: tuple[int, ...]
    members: tuple[int, ...]
    ear: Ear | None
    early: bool
    relay: int


@lru_cache(maxsize=1024)
def shape_of(wiring: Wiring, stage: int, kind: str, cause: int = 0, fate: int = 0, *followers: int) -> Shape:
    """A shape as stored. Raises ValueError if it names no stage, TraceError if its kind is not known."""
    members = (stage, *followers)
    if not all(type(n) is int and n >= 0 for n in (*members, cause, fate)):
        raise ValueError("a shape is numbers and a kind")
    if max(*members, cause - 1, 0) >= len(wiring.ids):
        raise ValueError("a shape of a stage that is not there")
    of = kind_named(kind)
    ear = Ear(of) if of in _EARS and not cause and not fate else None
    if not (
        (stage, followers) == (wiring.source, wiring.followers)
        if ear is Ear.FRAME
        else not followers and (stage == wiring.vad if ear is Ear.ANSWER else stage in wiring.followers)
    ):
        ear = None
    early = of is Frames or not {wiring.source, wiring.vad}.isdisjoint(members)
    relay = -1
    for number, through in enumerate(wiring.relays):
        by_itself = followers in ((), (through.taker,)) if stage == through.carrier else not followers
        if ear is None and not fate and by_itself and _is_of(through, stage, of, cause - 1):
            relay = number
    return Shape(stage, of, cause - 1, FATES[fate], followers, members, ear, early, relay)


def _is_of(relay: Relay, stage: int, of: type[Message], cause: int) -> bool:
    """Whether something comes to the relay's carrier, or goes to its taker, or the taker wakes up or hears from its device."""
    if cause < 0:
        return (stage, of) == (relay.carrier, relay.kind) or (stage == relay.taker and of in (Timer, Credit))
    return (stage, cause) == (relay.taker, relay.carrier) and of in (relay.kind, *relay.marks)


_EARS = frozenset(ear.value for ear in Ear)


class Run(NamedTuple):
    """Microphone frames one after another, or probabilities: the frame of each, and when it was there and was taken."""

    frames: Sequence[int]
    available_us: Sequence[int]
    handled_us: Sequence[int]
    ps: Sequence[float]

    def part(self, begin: int, end: int) -> Run:
        """Some of them."""
        frames, available_us, handled_us, ps = self
        return Run(frames[begin:end], available_us[begin:end], handled_us[begin:end], ps[begin:end])


class Steps:
    """What the steps of a letter hold, in order."""

    __slots__ = ("_backs", "_handled_us", "begin_us", "columns", "count", "shape")

    def __init__(self, shape: Shape, count: int, begin_us: int, columns: list[Any]) -> None:
        self.shape = shape
        self.count = count
        self.begin_us = begin_us
        self._handled_us: Sequence[int] | None = None
        self._backs: Sequence[int] | None = None
        self.columns = columns
        """Packed: when they were handled, counted from `begin_us`; how long they had been there; how far back their causes are, if
        they have any; the fields of their messages."""

    def handled_us(self) -> Sequence[int]:
        """When they were handled."""
        if self._handled_us is None:
            self._handled_us = shifted(self.columns[0], self.count, self.begin_us)
        return self._handled_us

    def available_us(self, handled_us: Sequence[int]) -> Sequence[int]:
        """When they were sent, or were there."""
        lags_us = self.columns[1]
        return handled_us if lags_us in _NO_LAG else list(map(sub, handled_us, unpacked(lags_us, self.count, WHOLE)))

    def backs(self) -> Sequence[int]:
        """How many rows before its stage's newest each cause is."""
        if self._backs is None:
            self._backs = unpacked(self.columns[2], self.count, WHOLE)
        return self._backs

    def messages(self, like: Sequence[Message | None] = ()) -> Sequence[Message]:
        """The messages, as ``messages_of`` says. Raises TraceError if the columns are not theirs."""
        return messages_of(self.shape.kind, self.columns[2 if self.shape.cause < 0 else 3 :], self.count, like)

    def quiet(self) -> bool:
        """Whether the steps are what their shape's ear says: frames one at a time."""
        ear, columns = self.shape.ear, self.columns
        if ear is Ear.CREDIT:
            return True
        return ear is not None and len(columns) == 4 and (ear is Ear.ANSWER or columns[3] in _ONE)

    def orderly(self) -> bool:
        """Whether each stands behind its cause."""
        return self.shape.cause < 0 or min(self.backs()) >= 0

    def jumps(self) -> Sequence[int]:
        """The steps whose frame does not follow the one before."""
        index = self.columns[2]
        if type(index) is dict and "all" not in index and index["by"] == 1:
            return ()
        frames = unpacked(index, self.count, WHOLE)
        return [place for place, (before, frame) in enumerate(pairwise(frames), 1) if frame != before + 1]

    def run(self) -> Run:
        """Quiet frames, or answers."""
        handled_us, frames = self.handled_us(), unpacked(self.columns[2], self.count, WHOLE)
        if type(handled_us) is list and handled_us != sorted(handled_us):
            raise TraceError("a journal chunk is malformed: time runs backwards")
        return Run(frames, self.available_us(handled_us), handled_us, unpacked(self.columns[3], self.count, NUMBERS))


_NO_LAG = ({"all": 0}, [0])
_ONE = ({"all": 1}, [1])
