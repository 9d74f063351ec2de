"""Steps of a journal chunk grouped by letter, and the rows that they make.

Rows are made a letter at a time, as columns, and then put in order: a row alone costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise, repeat
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flowkit.messages import Message
from flowkit.trace.parts import FIRST_LETTER
from flowkit.trace.rows import RowTuple
from flowkit.trace.stored import Numbers

if TYPE_CHECKING:
    from flowkit.trace.block import Block


class Columns(NamedTuple):
    """What the steps of a letter hold; `ns`: the numbers of their rows at their stage, `causes`: of their causes' at theirs."""

    ns: Sequence[int]
    causes: Sequence[int]
    available_us: Sequence[int]
    handled_us: Sequence[int]
    epochs: Sequence[int]
    turns: Sequence[int]
    messages: Sequence[Message]


class Grouped:
    """Steps of a chunk by letter, all steps of those letters. `kept`: which steps these are; `letters`: the letter's number of
    each; `places`: which of the kept steps a letter has."""

    def __init__(self, block: Block, without: str = "") -> None:
        flags = np.ones(len(block.steps), bool)
        flags[[number_of(letter) for letter in without]] = False
        # No block is kept: what it keeps of its own would never be let go while nobody looks for cycles.
        self._steps, self._members, self._ids = block.steps, block.members, block.wiring.ids
        self.kept: Numbers = np.flatnonzero(flags[block.letters])
        self.letters: Numbers = block.letters[self.kept]
        by_letter = np.argsort(self.letters.astype(np.uint16), kind="stable")
        counts = [0 if letter in without else known.count for letter, known in block.steps.items()]
        ends = list(accumulate(counts))
        self._parts = dict(zip(block.steps, map(slice, [0, *ends], ends), strict=False))
        self.places = {letter: by_letter[part] for letter, part in self._parts.items()}
        # Of all letters at once: many have but a handful of steps.
        shapes = [known.shape for known in block.steps.values()]
        rows = self._rows_by(block, without).take(by_letter, axis=1)
        each = np.arange(len(by_letter))
        stages, causes = (np.repeat([getattr(shape, of) for shape in shapes], counts) for of in ("stage", "cause"))
        own, others = (
            np.repeat([shape.followers.count(getattr(shape, of)) for shape in shapes], counts)
            for of in ("stage", "cause")
        )
        self._rows_at = rows
        self._ns: Numbers = rows[stages, each] - own
        self._cause_ns: Numbers = rows[causes, each] - others
        self.ends: Numbers = np.searchsorted(self.kept, [span.end for span in block.spans])
        """Up to which of the kept steps each span goes."""
        lengths = np.diff(self.ends, prepend=0)
        self._epochs, self._turns = (
            np.repeat([getattr(span, of) for span in block.spans], lengths).take(by_letter) for of in ("epoch", "turn")
        )

    def _rows_by(self, block: Block, without: str) -> Numbers:
        """How many rows each stage has with each of the kept steps."""
        passed = set(chain.from_iterable(block.steps[letter].shape.members for letter in without))
        counted: Numbers = np.empty((len(block.wiring.ids), len(self.kept)), np.int64)
        for stage, members in enumerate(np.ascontiguousarray(block.members.T)):
            if stage in passed:  # it has rows of other steps too
                counted[stage] = members.take(block.letters).cumsum(dtype=np.int32).take(self.kept)
            else:
                counted[stage] = members.take(self.letters).cumsum(dtype=np.int32)
        counted += np.array(block.ns[0])[:, None]
        return counted

    def rows(self, letters: Iterable[str]) -> list[list[RowTuple]]:
        """The rows of the steps of some letters in order, by spans."""
        chosen = [letter for letter in letters if len(self.places[letter])]
        made = [row for letter in chosen for row in self._rows(letter)]
        sizes = self.sizes(chosen)
        by_letter = np.concatenate([self.places[letter] for letter in chosen]) if chosen else self.kept[:0]
        rows = list(map(made.__getitem__, _order(by_letter, sizes)))
        ends = np.append(0, np.cumsum(sizes))[self.ends].tolist()
        return [rows[begin:end] for begin, end in pairwise([0, *ends])]

    def sizes(self, letters: Iterable[str]) -> Numbers:
        """How many rows each of the kept steps has, none if it is not of these letters."""
        sizes = np.zeros(len(self._steps), np.int64)
        numbers = [number_of(letter) for letter in letters]
        sizes[numbers] = self._members[numbers].sum(axis=1)
        return sizes[self.letters]

    def columns(self, letter: str, known: Mapping[int, Message] | None = None) -> Columns:
        """What a letter's steps hold. `known`: messages that their causes may have sent, by row number; no equal ones are made.
        Raises TraceError where columns hold what they cannot."""
        steps, part = self._steps[letter], self._parts[letter]
        handled_us = steps.handled_us()
        causes = list(map(sub, self._cause_ns[part].tolist(), steps.backs())) if steps.shape.cause >= 0 else ()
        available_us = steps.available_us(handled_us)
        messages = steps.messages(list(map(known.get, causes)) if known and causes else ())
        ns, epochs, turns = (numbers[part].tolist() for numbers in (self._ns, self._epochs, self._turns))
        return Columns(ns, causes, available_us, handled_us, epochs, turns, messages)

    def follower_ns(self, letter: str, place: int) -> list[int]:
        """The row numbers of those of a letter's followers that stand at number `place`."""
        followers = self._steps[letter].shape.followers
        later = followers[place + 1 :].count(followers[place])
        return (self._rows_at[followers[place], self._parts[letter]] - later).tolist()  # type: ignore[no-any-return]

    def _rows(self, letter: str) -> Iterator[RowTuple]:
        """The rows of a letter's steps, followers' behind each."""
        ids, shape = self._ids, self._steps[letter].shape
        ns, causes, available_us, handled_us, epochs, turns, messages = self.columns(letter)
        stage, cause, lane = shape.stage, shape.cause, repeat(shape.kind.lane)
        own = zip(
            repeat(ids[stage]), ns, repeat(ids[cause] if cause >= 0 else ""), causes or repeat(0), available_us,
            handled_us, lane, epochs, turns, messages, repeat(shape.fate),
        )  # fmt: skip
        if not shape.followers:
            return own
        theirs = [
            zip(
                repeat(ids[follower]), self.follower_ns(letter, place), repeat(ids[stage]), ns, handled_us, handled_us,
                lane, epochs, turns, messages, repeat(""),
            )
            for place, follower in enumerate(shape.followers)
        ]  # fmt: skip
        return chain.from_iterable(zip(own, *theirs, strict=True))


def _order(by_letter: Numbers, sizes: Numbers) -> list[int]:
    """Where rows are that are grouped by letter, in the order of their steps. `by_letter`: the steps so grouped; `sizes`: how many
    rows each step has."""
    begins = np.zeros_like(sizes)
    begins[by_letter] = np.cumsum(sizes[by_letter]) - sizes[by_letter]
    places: list[int] = (np.repeat(begins - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())).tolist()
    return places


def number_of(letter: str) -> int:
    """A letter's number, by which lists go."""
    return ord(letter) - FIRST_LETTER
