"""A journal's text read back: stretches of rows, most of them still columns, for hardly anybody looks into a frame.

A *quiet* step is a microphone frame that all who hear it took at once, a probability, or a credit. Whoever needs rows asks for
``rows()``; whoever can do with columns takes ``frames()``, ``answers()`` and the rows that are ``apart`` from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import repeat
from operator import sub
from typing import Any, NamedTuple

from flowkit.errors import TraceError
from flowkit.messages import Credit, Frames, Message, Probability
from flowkit.trace.codec import CHUNK_ROWS
from flowkit.trace.columns import NUMBERS, WHOLE, last, part, shifted, unpacked
from flowkit.trace.layout import Layout
from flowkit.trace.parts import FIRST_LETTER
from flowkit.trace.rows import FATES, RowTuple, kind_named, messages_of
from flowkit.trace.wiring import Wiring, wiring_of


class Ear(Enum):
    """What a quiet step is. It is one only where its columns show nothing unusual."""

    FRAME = Frames
    ANSWER = Probability
    CREDIT = Credit


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What the steps of a letter have in common, stages by index (`cause` is -1 for none). `members`: every stage that has a row
    of a step; `ear`: what a quiet step of this shape is; `early`: it is at a stage that a frame or an answer comes to first."""

    stage: int
    kind: type[Message]
    cause: int
    fate: str
    followers: tuple[int, ...]
    members: tuple[int, ...]
    ear: Ear | None
    early: bool


class Steps:
    """What the steps of a letter hold, in order, as columns that stay packed until somebody asks."""

    __slots__ = ("begin_us", "columns", "count", "shape")

    def __init__(self, shape: Shape, count: int, begin_us: int, columns: list[Any]) -> None:
        self.shape = shape
        self.count = count
        self.begin_us = begin_us
        self.columns = columns
        """Packed: when they were handled, counted from `begin_us`; how long they had been there; how far back their causes are, if
        they have any; the fields of their messages."""

    def handled_us(self) -> Sequence[int]:
        """When they were handled."""
        return shifted(self.columns[0], self.count, self.begin_us)

    def available_us(self, handled_us: Sequence[int]) -> Sequence[int]:
        """When they were sent, or were there."""
        lags_us = self.columns[1]
        return handled_us if lags_us in _NO_LAG else list(map(sub, handled_us, unpacked(lags_us, self.count, WHOLE)))

    def backs(self) -> Sequence[int]:
        """How many rows before its stage's newest each cause is."""
        return unpacked(self.columns[2], self.count, WHOLE)

    def messages(self) -> Sequence[Message]:
        """The messages. Raises TraceError if the columns are not theirs."""
        return messages_of(self.shape.kind, self.columns[2 if self.shape.cause < 0 else 3 :], self.count)

    def part(self, begin: int, end: int) -> Steps:
        """Some of them."""
        return Steps(self.shape, end - begin, self.begin_us, [part(column, begin, end) for column in self.columns])

    def quiet(self) -> bool:
        """Whether the steps are what their shape's ear says: one after another, and one at a time."""
        ear, columns = self.shape.ear, self.columns
        if ear is None or ear is Ear.CREDIT or len(columns) != 4:
            return ear is Ear.CREDIT
        index, value = columns[2], columns[3]
        if not (index["by"] == 1 if type(index) is dict and "by" in index else self.count == 1):
            return False
        return ear is Ear.ANSWER or value in _ONE

    def run(self) -> Run:
        """Quiet frames, or answers."""
        handled_us, first = self.handled_us(), unpacked(self.columns[2], self.count, WHOLE)[0]
        if type(handled_us) is list and handled_us != sorted(handled_us):
            raise TraceError("a journal chunk is malformed: time runs backwards")
        return Run(first, self.available_us(handled_us), handled_us, unpacked(self.columns[3], self.count, NUMBERS))


_NO_LAG = ({"all": 0}, [0])
_ONE = ({"all": 1}, [1])


class Run(NamedTuple):
    """Consecutive frames, or probabilities of consecutive frames: index of the first, and when each was there and was taken."""

    first: int
    available_us: Sequence[int]
    handled_us: Sequence[int]
    ps: Sequence[float]


@dataclass(slots=True)
class Stretch:
    """Rows of one epoch and turn. `ns`: rows before it, by stage, `after`: and with it; `end_us`: when the last one was handled;
    `pattern`: a letter a step; `quiet`: letters of quiet steps; `stirs_frames`: other rows are among those that frames and answers
    meet first, so that their order matters."""

    wiring: Wiring
    ns: list[int]
    after: list[int]
    epoch: int
    turn: int
    end_us: int
    pattern: str
    steps: dict[str, Steps]
    quiet: str
    stirs_frames: bool
    _apart: list[RowTuple] | None = None

    @property
    def count(self) -> int:
        """How many rows it has."""
        return sum(self.after) - sum(self.ns)

    def number(self, ear: Ear, place: int) -> int:
        """The row number of the quiet step number `place` of a kind."""
        letter = next(letter for letter in self.quiet if self.steps[letter].shape.ear is ear)
        stage, ahead = self.steps[letter].shape.stage, -1
        for _ in range(place + 1):
            ahead = self.pattern.index(letter, ahead + 1)
        touching = (known for known, steps in self.steps.items() if stage in steps.shape.members)
        return self.ns[stage] + sum(self.pattern.count(known, 0, ahead + 1) for known in touching)

    def first_at(self, stage: int) -> str:
        """The letter of the stage's first row."""
        at = {letter for letter, steps in self.steps.items() if stage in steps.shape.members}
        return next(letter for letter in self.pattern if letter in at)

    def run(self, ear: Ear) -> Run | None:
        """The quiet frames, or answers; None if there are none."""
        for letter in self.quiet:
            if self.steps[letter].shape.ear is ear:
                return self.steps[letter].run()
        return None

    def rows(self) -> Iterator[RowTuple]:
        """The rows, one by one."""
        ids, epoch, turn, ns = self.wiring.ids, self.epoch, self.turn, self.ns.copy()
        readers = {letter: _reader(steps, ids) for letter, steps in self.steps.items()}
        for letter in self.pattern:
            held, stage, name, cause, cause_name, lane, fate, followers = readers[letter]
            message, sent_us, now_us, back = next(held)
            n = ns[stage] = ns[stage] + 1
            cause_n = ns[cause] - back if cause_name else 0
            yield (name, n, cause_name, cause_n, sent_us, now_us, lane, epoch, turn, message, fate)
            for follower in followers:
                m = ns[follower] = ns[follower] + 1
                yield (ids[follower], m, name, n, now_us, now_us, lane, epoch, turn, message, "")

    def apart(self) -> list[RowTuple]:
        """The rows that are not quiet."""
        if self._apart is None:
            self._apart = list(self._between()) if len(self.quiet) < len(self.steps) else []
        return self._apart

    def _between(self) -> Iterator[RowTuple]:
        """As ``rows``, but quiet steps are only counted, and only where a stage's number is asked for."""
        ids, pattern, epoch, turn, ns, quiet = (
            self.wiring.ids,
            self.pattern,
            self.epoch,
            self.turn,
            self.ns.copy(),
            self.quiet,
        )
        uncounted = [""] * len(ids)
        for letter in quiet:
            for stage in self.steps[letter].shape.members:
                uncounted[stage] += letter
        readers = {letter: _reader(steps, ids) for letter, steps in self.steps.items() if letter not in quiet}

        def number(stage: int, place: int) -> int:
            return ns[stage] + sum([pattern.count(letter, 0, place) for letter in uncounted[stage]])

        for place, letter in enumerate(pattern):
            if letter in quiet:
                continue
            held, stage, name, cause, cause_name, lane, fate, followers = readers[letter]
            message, sent_us, now_us, back = next(held)
            ns[stage] += 1
            n = number(stage, place) if uncounted[stage] else ns[stage]
            cause_n = number(cause, place) - back if cause_name else 0
            yield (name, n, cause_name, cause_n, sent_us, now_us, lane, epoch, turn, message, fate)
            for follower in followers:
                ns[follower] += 1
                m = number(follower, place) if uncounted[follower] else ns[follower]
                yield (ids[follower], m, name, n, now_us, now_us, lane, epoch, turn, message, "")


def _reader(steps: Steps, ids: tuple[str, ...]) -> tuple[Any, ...]:
    """What making a letter's rows takes."""
    shape = steps.shape
    backs = steps.backs() if shape.cause >= 0 else repeat(0, steps.count)
    handled_us = steps.handled_us()
    held = zip(steps.messages(), steps.available_us(handled_us), handled_us, backs, strict=True)
    cause = ids[shape.cause] if shape.cause >= 0 else ""
    return held, shape.stage, ids[shape.stage], shape.cause, cause, shape.kind.lane, shape.fate, shape.followers


def rows_of(items: Iterable[RowTuple | Stretch]) -> Iterator[RowTuple]:
    """Every row, one by one. Raises TraceError where columns hold what they cannot."""
    for item in items:
        if isinstance(item, Stretch):
            yield from item.rows()
        else:
            yield item


def decode(text: str, layout: Layout) -> Iterator[Stretch]:
    """The stretches of a chunk's text. Raises TraceError if it is not one; columns that nobody looks into may still be wrong."""
    try:
        yield from _decoded(wiring_of(layout), *json.loads(text))
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise TraceError(f"a journal chunk is malformed: {type(error).__name__}: {str(error)[:100]}") from error


def _decoded(
    wiring: Wiring, _: int, begin_us: int, ns: list[int], ats: list[list[int]], pattern: str, stored: list[Any]
) -> Iterator[Stretch]:
    if not {type(begin_us), *map(type, ns)} <= WHOLE or len(ns) != len(wiring.ids) or not pattern:
        raise ValueError("row counts do not fit the stages")
    # What the writer keeps to; a file that does not would make much of little.
    most = 2 * len(wiring.ids)
    if max(len(pattern), len(ats), len(stored)) > CHUNK_ROWS or any(len(head) > 4 + most for head, *_ in stored):
        raise ValueError("more steps, shapes or stages than a chunk can have")
    steps, seen = {}, 0
    for place, (head, *columns) in enumerate(stored, FIRST_LETTER):
        letter = chr(place)
        count = pattern.count(letter)
        steps[letter] = Steps(_shape(wiring, *head), count, begin_us, columns)
        seen += count
    if seen != len(pattern) or not all(known.count for known in steps.values()):
        raise ValueError("letters and shapes are not the same")
    if sum(known.count * len(known.shape.members) for known in steps.values()) > CHUNK_ROWS + most:
        raise ValueError("more rows than a chunk can have")
    if len(ats) == 1 and ats[0][0] == 0:
        yield _stretch(wiring, ns, ats[0], pattern, steps)
        return
    for at, end in _spans(ats, len(pattern)):
        ahead, here = pattern[: at[0]], pattern[at[0] : end]
        parts = {
            letter: known.part(ahead.count(letter), ahead.count(letter) + here.count(letter))
            for letter, known in steps.items()
            if letter in here
        }
        stretch = _stretch(wiring, ns, at, here, parts)
        yield stretch
        ns = stretch.after


def _spans(ats: list[list[int]], end: int) -> Iterator[tuple[list[int], int]]:
    """Where epoch and turn stay: [first step, epoch, turn] and the step behind the last."""
    begins = [begin for begin, _, _ in ats]
    if begins != sorted(set(begins)) or begins[0] != 0 or begins[-1] >= end:
        raise ValueError("epochs do not fit the steps")
    yield from zip(ats, [*begins[1:], end], strict=True)


def _stretch(wiring: Wiring, ns: list[int], at: list[int], pattern: str, steps: dict[str, Steps]) -> Stretch:
    _, epoch, turn = at
    if type(epoch) is not int or type(turn) is not int:
        raise ValueError("an epoch is a whole number")
    after, ears, quiet, stirred = ns.copy(), list[Ear](), "", False
    for letter, known in steps.items():
        shape = known.shape
        for stage in shape.members:
            after[stage] += known.count
        if shape.ear is not None and (shape.ear is Ear.CREDIT or shape.ear not in ears) and known.quiet():
            ears.append(shape.ear)
            quiet += letter
        else:
            stirred = stirred or shape.early
    latest = steps[pattern[-1]]
    end_us = latest.begin_us + last(latest.columns[0], latest.count)
    if type(end_us) is not int or not latest.begin_us <= end_us:
        raise ValueError("a chunk that ends before it begins")
    return Stretch(wiring, ns, after, epoch, turn, end_us, pattern, steps, quiet, stirred)


@lru_cache(maxsize=1024)
def _shape(wiring: Wiring, stage: int, kind: str, cause: int = 0, fate: int = 0, *followers: int) -> Shape:
    """A shape as stored. Raises ValueError if it names no stage, TraceError if its kind is not known."""
    members = (stage, *followers)
    if not all(type(n) is int and n >= 0 for n in (*members, cause, fate)):
        raise ValueError("a shape is numbers and a kind")
    if max(*members, cause - 1, 0) >= len(wiring.ids):
        raise ValueError("a shape of a stage that is not there")
    of = kind_named(kind)
    ear = Ear(of) if of in _EARS and not cause and not fate else None
    if (ear is Ear.FRAME and (stage, followers) != (wiring.source, wiring.followers)) or (
        ear is not Ear.FRAME and (followers or (ear is Ear.ANSWER and stage != wiring.vad))
    ):
        ear = None
    early = of is Frames or not {wiring.source, wiring.vad}.isdisjoint(members)
    return Shape(stage, of, cause - 1, FATES[fate], followers, members, ear, early)


_EARS = frozenset(ear.value for ear in Ear)
