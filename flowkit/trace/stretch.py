"""A journal's text read back: stretches of rows, most of them still columns.

A *quiet* step is a microphone frame that all who hear it took at once, a probability, or a credit of those who hear frames.
Whoever needs rows asks for ``rows()``; whoever can do with columns takes the ``run()`` of frames or answers, and the rows that are
``apart`` from them, and the ``passages`` between these, in which messages only go through relays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import ne

from flowkit.trace.block import Block, Span, block_of
from flowkit.trace.grouped import number_of
from flowkit.trace.layout import Layout
from flowkit.trace.passages import Passage
from flowkit.trace.rows import RowTuple
from flowkit.trace.steps import Ear, Run
from flowkit.trace.stored import Stored, in_lots, malformed, stored
from flowkit.trace.wiring import Wiring, wiring_of


@dataclass(slots=True)
class Stretch:
    """Rows of one epoch and turn: span `number` of a chunk. `ns`: rows before it, by stage, `after`: and with it; `begin_us` and
    `end_us`: when the first and the last one were handled."""

    block: Block
    number: int
    span: Span
    ns: list[int]
    after: list[int]
    begin_us: int
    end_us: int

    @property
    def wiring(self) -> Wiring:
        """Of its trace."""
        return self.block.wiring

    @property
    def at(self) -> tuple[int, int]:
        """Epoch and turn."""
        return self.span.epoch, self.span.turn

    @property
    def count(self) -> int:
        """How many rows it has."""
        return sum(self.after) - sum(self.ns)

    def of(self, letter: str) -> tuple[int, int]:
        """Which of the chunk's steps of a letter are in it: from the one number, up to the other."""
        before, number = self.block.before, number_of(letter)
        return before[self.number][number], before[self.number + 1][number]

    def rows(self) -> list[RowTuple]:
        """The rows, one by one. Raises TraceError where columns hold what they cannot."""
        return self.block.rows(self.number) if self.quiet() or self.passages() else self.apart()

    def apart(self) -> list[RowTuple]:
        """The rows that are neither quiet nor in passages."""
        return self.block.apart(self.number)

    def passages(self) -> list[Passage]:
        """Where between those rows messages only go through relays."""
        return self.block.passages(self.number)

    def quiet(self) -> str:
        """Letters of its quiet steps."""
        return "".join([letter for letter in self.block.quiet if ne(*self.of(letter))])

    def run(self, ear: Ear) -> Run | None:
        """The quiet frames, or answers; None if there are none."""
        letter = self._letter_of(ear)
        begin, end = self.of(letter) if letter else (0, 0)
        return self.block.run(letter).part(begin, end) if begin < end else None

    def frames_before(self, row: int) -> int:
        """How many of its quiet frames come before the row that is number `row` of those apart."""
        return self.block.frames_before(self.number, row)

    def row_number(self, ear: Ear, place: int) -> int:
        """The row number of the quiet step number `place` of a kind."""
        letter = self._letter_of(ear)
        return int(self.block.row_numbers(letter)[self.of(letter)[0] + place])

    def _letter_of(self, ear: Ear) -> str:
        """The chunk's one letter of quiet frames, or answers; empty if there is none."""
        return next((letter for letter in self.block.quiet if self.block.steps[letter].shape.ear is ear), "")

    def any_between(self, begin_us: int, end_us: int) -> bool:
        """Whether a row was handled from `begin_us` on and before `end_us`. The chunk must be orderly."""
        begin, end = self.block.times_us[self.span.begin : self.span.end].searchsorted((begin_us, end_us))
        return bool(begin < end)

    def quiet_behind(self, at_us: int) -> bool:
        """Whether a quiet step was handled later than `at_us`, or then and last of all. The chunk must be orderly."""
        begin, end = self.span.begin, self.span.end
        first = begin + int(self.block.times_us[begin:end].searchsorted(at_us, side="right"))
        letters = set(self.block.letters[min(first, end - 1) : end].tolist())
        return not letters.isdisjoint(map(number_of, self.block.quiet)) and self.end_us >= at_us


def decode(text: str, layout: Layout) -> Iterator[Stretch]:
    """The stretches of a chunk's text. Raises TraceError if it is not one; columns that nobody looks into may still be wrong."""
    wiring = wiring_of(layout)
    return stretches([stored(text, wiring)], wiring)


def stretches(chunks: Iterable[Stored], wiring: Wiring) -> Iterator[Stretch]:
    """The stretches of chunks in order. Raises TraceError if they are none; columns that nobody looks into may still be wrong."""
    for lot in in_lots(chunks):
        block, last_us = block_of(lot, wiring), lot.begin_us
        for number, (span, (ns, after)) in enumerate(zip(block.spans, pairwise(block.ns), strict=True)):
            begin_us, end_us = block.times_us[[span.begin, span.end - 1]].tolist()
            if end_us < last_us:
                raise malformed(ValueError("it ends before it begins"))
            last_us = end_us
            yield Stretch(block, number, span, ns, after, begin_us, end_us)


def rows_of(items: Iterable[RowTuple | Stretch]) -> Iterator[RowTuple]:
    """Every row, one by one. Raises TraceError where columns hold what they cannot."""
    for item in items:
        if isinstance(item, Stretch):
            yield from item.rows()
        else:
            yield item
