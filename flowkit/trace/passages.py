"""The passages of a journal chunk: steps in which messages only go through a relay, as columns.

A relay is a stage that hands on what its provider gives, and the stage that takes that: tokens on their way to the chunker, the
voice on its way to the device. Most rows of a conversation that are not quiet are of these, and nobody needs them as rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from flowkit.messages import Credit, Message
from flowkit.trace.grouped import Grouped
from flowkit.trace.rows import RowTuple
from flowkit.trace.stored import Numbers

if TYPE_CHECKING:
    from flowkit.trace.block import Block

Sent: TypeAlias = tuple[int, int, int, int, Message]
"""A message as a stage sent it: (cause's n, sent_us, epoch, turn, message)."""


class Passage(NamedTuple):
    """What goes through one relay until something else happens at one of its stages. `before`: how many rows of its span that are
    apart come before it; `kind`: of what goes through. `sent`: what the carrier hands on, as it does so on the spot, and
    `available_us`: when each had come to it. `taken`: what the taker took, as it was sent. `steps`: those of the taker, as
    (handled_us, message, when that was sent or due), wake-ups too, and `ns`: their row numbers. `credits`: when its device said
    what it can take, which is no step. `begin`, `end`: which of the steps that are not quiet these are among, for `relayed`."""

    before: int
    kind: type[Message]
    sent: list[Sent]
    available_us: list[int]
    taken: list[Sent]
    steps: list[tuple[int, Message, int]]
    ns: list[int]
    credits: list[int]
    begin: int
    end: int
    relayed: Relayed

    def rows(self) -> list[RowTuple]:
        """Its rows, one by one."""
        return self.relayed.rows(self.begin, self.end)


class Relayed:
    """All rows of a chunk that go through a relay. They are made when somebody asks for some."""

    def __init__(self, grouped: Grouped, letters: list[str]) -> None:
        self._grouped = grouped
        self._letters = letters
        self._rows: list[RowTuple] | None = None

    def rows(self, begin: int, end: int) -> list[RowTuple]:
        """Those of some steps."""
        if self._rows is None:
            self._rows = list(chain.from_iterable(self._grouped.rows(self._letters)))
        sizes = self._grouped.sizes(self._letters)
        first = int(sizes[:begin].sum())
        return self._rows[first : first + int(sizes[begin:end].sum())]


def passages_of(block: Block, grouped: Grouped) -> list[list[Passage]]:
    """The passages of a chunk, by spans, in the order in which they begin. `grouped`: its steps that are not quiet."""
    firsts, found = np.append(0, grouped.ends)[:-1], list[list[Passage]]([] for _ in block.spans)
    rows_before = np.append(0, np.cumsum(grouped.sizes(block.letters_apart())))
    for number, relay in enumerate(block.wiring.relays):
        relayed = Relayed(grouped, block.letters_relayed(number))
        begins, ends = _through(block, grouped, number)
        spans = np.searchsorted(grouped.ends, begins, side="right")
        before = rows_before[begins] - rows_before[firsts[spans]]
        lines = _lines(block, grouped, number, begins, ends)
        for span, begin, end, rows, *parts in zip(
            spans.tolist(), begins.tolist(), ends.tolist(), before.tolist(), *lines, strict=True
        ):
            found[span].append(Passage._make((rows, relay.kind, *parts, begin, end, relayed)))
    for passages in found:
        passages.sort(key=_begin)
    return found


_begin = attrgetter("begin")


def _through(block: Block, grouped: Grouped, number: int) -> tuple[Numbers, Numbers]:
    """From which step up to which one there is nothing else at a relay's stages than what goes through it; not across spans."""
    relay, shapes = block.wiring.relays[number], [known.shape for known in block.steps.values()]
    through = np.array([shape.relay == number for shape in shapes])
    near = through | [not {relay.carrier, relay.taker}.isdisjoint(shape.members) for shape in shapes]
    steps = np.flatnonzero(near[grouped.letters])
    begins, ends = _runs(through[grouped.letters[steps]], np.searchsorted(steps, grouped.ends))
    return steps[begins], steps[ends - 1] + 1


def _runs(flags: npt.NDArray[np.bool_], ends: Numbers) -> tuple[Numbers, Numbers]:
    """Where flags stand together, from and up to, not across the ends of spans."""
    changes = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    inner = [end for end in sorted(set(ends.tolist())) if 0 < end < len(flags) and flags[end - 1] and flags[end]]
    edges = np.sort(np.concatenate([changes, np.repeat(np.array(inner, np.int64), 2)]))
    return edges[::2], edges[1::2]


def _lines(block: Block, grouped: Grouped, number: int, begins: Numbers, ends: Numbers) -> list[list[list[Any]]]:
    """What goes through a relay, by passages, in the order of their fields."""
    relay, known = block.wiring.relays[number], dict[int, Message]()
    came, taken, steps, credits = _Line(2), _Line(1), _Line(2), _Line(1)
    # What comes first: most of what is taken is known then.
    for letter in sorted(block.letters_relayed(number), key=lambda letter: block.steps[letter].shape.cause >= 0):
        shape, places = block.steps[letter].shape, grouped.places[letter]
        ns, causes, available_us, handled_us, epochs, turns, messages = grouped.columns(letter, known)
        if shape.stage == relay.carrier:
            known.update(zip(ns, messages, strict=True))
            handed_on = list(zip(ns, handled_us, epochs, turns, messages, strict=True))
            came.add(places, handed_on, available_us)
            if not shape.followers:
                continue
            ns, available_us = grouped.follower_ns(letter, 0), handled_us
            taken.add(places, handed_on)
        elif shape.cause >= 0:
            taken.add(places, zip(causes, available_us, epochs, turns, messages, strict=True))
        elif shape.kind is Credit:
            credits.add(places, handled_us)
            continue
        steps.add(places, zip(handled_us, messages, available_us, strict=True), ns)
    return [part for line in (came, taken, steps, credits) for part in line.parts(begins, ends)]


class _Line:
    """What happens at steps, gathered letter by letter, as so many lists."""

    def __init__(self, lists: int) -> None:
        self._places: list[Numbers] = []
        self._lists: list[list[Any]] = [[] for _ in range(lists)]

    def add(self, places: Numbers, *values: Iterable[Any]) -> None:
        """What happens at some steps."""
        self._places.append(places)
        for of, more in zip(self._lists, values, strict=True):
            of.extend(more)

    def parts(self, begins: Numbers, ends: Numbers) -> list[list[list[Any]]]:
        """Of each list its parts in the steps' order, from some steps up to others."""
        places = np.concatenate(self._places) if self._places else begins[:0]
        lists = self._lists
        if len(self._places) > 1:
            order = np.argsort(places, kind="stable")
            places, lists = places[order], [list(map(of.__getitem__, order.tolist())) for of in lists]
        cuts = list(zip(np.searchsorted(places, begins).tolist(), np.searchsorted(places, ends).tolist(), strict=True))
        return [[of[begin:end] for begin, end in cuts] for of in lists]
