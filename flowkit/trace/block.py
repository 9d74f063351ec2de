"""Journal chunks read back as columns. What they make is made when it is asked for: rows, and passages of a reply."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowkit.trace.codec import CHUNK_EPOCHS
from flowkit.trace.grouped import Grouped, number_of
from flowkit.trace.parts import FIRST_LETTER
from flowkit.trace.passages import Passage, passages_of
from flowkit.trace.rows import RowTuple
from flowkit.trace.steps import Ear, Run, Steps
from flowkit.trace.stored import MALFORMED, Numbers, Stored, malformed
from flowkit.trace.wiring import Wiring

Counts = npt.NDArray[np.int32]
"""Of a lot's rows: it has few, and what is half as large is counted faster."""


class Span(NamedTuple):
    """Steps from `begin` to `end` of a chunk, which are of one epoch and turn. `stirs`: some of them are at stages that frames and
    answers meet first, and not quiet, so that their order matters."""

    begin: int
    end: int
    epoch: int
    turn: int
    stirs: bool = False


@dataclass(slots=True)
class Block:
    """Chunks as columns. `letters`: the number of each step's letter; `steps`: what is known of each letter's; `quiet`: letters of
    quiet steps; `members`: rows that a step has at each stage, by letter's number and stage; `times_us`: when each step was
    handled. For each span and behind the last, `ns`: rows before it, by stage, and `before`: steps before it, by letter's number.
    `orderly`: no row stands before its cause, and none was handled before the one that stands before it."""

    wiring: Wiring
    letters: Numbers
    steps: dict[str, Steps]
    spans: list[Span]
    quiet: str
    members: Counts
    times_us: Numbers
    ns: list[list[int]]
    before: list[list[int]]
    orderly: bool
    _rows: list[list[RowTuple]] | None = None
    _loud: _Loud | None = None
    _runs: dict[str, Run] = field(default_factory=dict)
    _row_numbers: dict[str, Numbers] = field(default_factory=dict)

    def rows(self, span: int) -> list[RowTuple]:
        """All rows of a span. They are made for all spans at once, and let go with the last."""
        rows = self._rows = self._rows or Grouped(self).rows(self.steps)
        if span == len(self.spans) - 1:
            self._rows = None
        return rows[span]

    def apart(self, span: int) -> list[RowTuple]:
        """The rows of a span that are neither quiet nor in passages."""
        return self._louder().apart[span]

    def passages(self, span: int) -> list[Passage]:
        """Where among the rows apart messages only go through relays."""
        return self._louder().passages[span]

    def frames_before(self, span: int, row: int) -> int:
        """How many quiet frames of a span come before the row that is number `row` of those apart."""
        loud = self._louder()
        step = loud.steps_apart[loud.before[span] + row]
        return int(loud.frames.searchsorted(step) - loud.frames.searchsorted(self.spans[span].begin))

    def run(self, letter: str) -> Run:
        """The columns of a quiet letter."""
        if letter not in self._runs:
            self._runs[letter] = self.steps[letter].run()
        return self._runs[letter]

    def row_numbers(self, letter: str) -> Numbers:
        """The row numbers of a letter's steps at their stage."""
        if letter not in self._row_numbers:
            shape = self.steps[letter].shape
            members = self.members[:, shape.stage].take(self.letters)
            counted = members.cumsum(dtype=np.int32)[self.letters == number_of(letter)].astype(np.int64)
            self._row_numbers[letter] = counted + self.ns[0][shape.stage] - shape.followers.count(shape.stage)
        return self._row_numbers[letter]

    def letters_apart(self) -> list[str]:
        """Letters of steps that are neither quiet nor in passages."""
        return [letter for letter, known in self.steps.items() if known.shape.relay < 0 and letter not in self.quiet]

    def letters_relayed(self, number: int) -> list[str]:
        """Letters of steps of a relay."""
        return [letter for letter, known in self.steps.items() if known.shape.relay == number]

    def _louder(self) -> _Loud:
        if self._loud is None:
            grouped, letters = Grouped(self, self.quiet), self.letters_apart()
            steps = np.repeat(grouped.kept, grouped.sizes(letters))
            apart = grouped.rows(letters)
            before = [0, *accumulate(map(len, apart))]
            frames = [number_of(letter) for letter in self.quiet if self.steps[letter].shape.ear is Ear.FRAME]
            of_frames = np.flatnonzero(self.letters == (frames[0] if frames else -1))  # of frames one letter is quiet
            self._loud = _Loud(apart, before, passages_of(self, grouped), steps, of_frames)
        return self._loud


class _Loud(NamedTuple):
    """What is not quiet, by spans: rows, how many of them come `before`, and passages; the steps that all those rows are of, and
    those of quiet frames."""

    apart: list[list[RowTuple]]
    before: list[int]
    passages: list[list[Passage]]
    steps_apart: Numbers
    frames: Numbers


def block_of(stored: Stored, wiring: Wiring) -> Block:
    """Chunks as columns. Raises TraceError if they are none; columns that nobody looks into may still be wrong."""
    try:
        return _block(stored, wiring)
    except MALFORMED as error:
        raise malformed(error) from error


def _block(stored: Stored, wiring: Wiring) -> Block:
    begin_us, ns, ats, letters, shapes = stored
    steps, quiet, ears = dict[str, Steps](), "", set[Ear]()
    members = np.zeros((len(shapes), len(ns)), np.int32)
    for number, (shape, count, columns) in enumerate(shapes):
        letter = chr(FIRST_LETTER + number)
        known = steps[letter] = Steps(shape, count, begin_us, columns)
        for stage in shape.members:
            members[number, stage] += 1
        if shape.ear is not None and (shape.ear is Ear.CREDIT or shape.ear not in ears) and known.quiet():
            ears.add(shape.ear)
            quiet += letter
    ends = [*(begin for begin, _, _ in ats[1:]), len(letters)]
    whole = [Span(begin, end, epoch, turn) for (begin, epoch, turn), end in zip(ats, ends, strict=True)]
    spans, quiet = _cut(whole, letters, steps, quiet)
    of_spans = [np.bincount(letters[begin:end], minlength=len(steps)) for begin, end, *_ in spans]
    before = np.cumsum([np.zeros(len(steps), np.int64), *of_spans], axis=0)
    rows = (before @ members + np.array(ns)).tolist()
    times_us = _times_us(letters, steps)
    orderly = all(known.orderly() for known in steps.values()) and bool((times_us[1:] >= times_us[:-1]).all())
    return Block(wiring, letters, steps, spans, quiet, members, times_us, rows, before.tolist(), orderly)


def _times_us(letters: Numbers, steps: dict[str, Steps]) -> Numbers:
    """When each step was handled."""
    times_us = np.empty(len(letters), np.int64)
    by_letter = np.argsort(letters.astype(np.min_scalar_type(len(steps))), kind="stable")
    times_us[by_letter] = np.concatenate([_numbers(known.handled_us()) for known in steps.values()])
    return times_us


def _numbers(values: Sequence[int]) -> Numbers:
    if type(values) is range:  # numpy would go through it one by one
        return np.arange(values.start, values.stop, values.step)
    return np.array(values, np.int64)


def _cut(spans: list[Span], letters: Numbers, steps: dict[str, Steps], quiet: str) -> tuple[list[Span], str]:
    """The spans, cut where steps begin or cease to stir frames, and where a frame is missing; and what is quiet then: no frames,
    should there be too many cuts."""
    stirring = np.array([known.shape.early and letter not in quiet for letter, known in steps.items()])[letters]
    places = set((np.flatnonzero(np.diff(stirring)) + 1).tolist())
    for letter in quiet:
        if steps[letter].shape.ear is Ear.FRAME and (jumps := steps[letter].jumps()):
            places |= set(np.flatnonzero(letters == number_of(letter))[jumps].tolist())
    if not places:
        return [span._replace(stirs=bool(stirring[span.begin])) for span in spans], quiet
    if len(places) > CHUNK_EPOCHS:
        quiet = "".join([letter for letter in quiet if steps[letter].shape.ear is Ear.CREDIT])
        return [span._replace(stirs=True) for span in spans], quiet
    ends = sorted(places | {span.end for span in spans})
    begins, owners = [0, *ends[:-1]], [span.begin for span in spans]
    at = [spans[bisect_right(owners, begin) - 1][2:4] for begin in begins]
    return [
        Span(begin, end, *of, bool(stirring[begin])) for begin, end, of in zip(begins, ends, at, strict=True)
    ], quiet
