"""A journal chunk read back as columns, and the rows that they make.

Rows are made a letter at a time, as columns, and then put in order: a row alone costs ten times as much.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise, repeat
from operator import sub
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flowkit.errors import TraceError
from flowkit.trace.codec import CHUNK_EPOCHS, CHUNK_ROWS, CHUNK_SHAPES
from flowkit.trace.columns import WHOLE
from flowkit.trace.layout import Layout
from flowkit.trace.parse import parsed
from flowkit.trace.parts import FIRST_LETTER
from flowkit.trace.rows import RowTuple
from flowkit.trace.steps import Ear, Run, Steps, shape_of
from flowkit.trace.wiring import Wiring, wiring_of

_Numbers = npt.NDArray[np.int64]

_PASSAGE_ROWS = 4
"""Rows of the voice from which it is worth while to look at them as one."""
_MOST = 1 << 48
"""Rows of a stage, or microseconds, that no session reaches."""


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
    """A chunk as columns. `pattern`: a letter a step; `letters`: the same as numbers; `steps`: what is known of each letter's;
    `quiet`: letters of quiet steps; `members`: rows that a step has at each stage, by letter's number and stage. For each span and
    behind the last, `ns`: rows before it, by stage, and `before`: steps of the chunk before it, by letter's number. `orderly`: no
    row stands before its cause."""

    wiring: Wiring
    pattern: str
    letters: _Numbers
    steps: dict[str, Steps]
    spans: list[Span]
    quiet: str
    members: _Numbers
    ns: list[list[int]]
    before: _Numbers
    orderly: bool
    _apart: list[list[RowTuple]] | None = None
    _whole: list[list[RowTuple]] | None = None
    _passages: list[list[tuple[int, int]]] | None = None
    _steps_apart: _Numbers | None = None
    _runs: dict[str, Run] = field(default_factory=dict)
    _row_numbers: dict[str, Sequence[int]] = field(default_factory=dict)

    def apart(self, span: int) -> list[RowTuple]:
        """The rows of a span that are not quiet."""
        if self._apart is None:
            self._apart = self._made(self.quiet)
        return self._apart[span]

    def rows(self, span: int) -> list[RowTuple]:
        """All rows of a span. They are made for all spans at once, and let go with the last."""
        rows = self._whole = self._whole or self._made("")
        if span == len(self.spans) - 1:
            self._whole = None
        return rows[span]

    def passages(self, span: int) -> list[tuple[int, int]]:
        """Where among the rows apart there is only the voice on its way to the device: (first row, behind the last)."""
        if self._passages is None:
            self._passages = self._runs_of_voice()
        return self._passages[span]

    def frames_before(self, span: int, row: int) -> int:
        """How many quiet frames of a span come before the row that is number `row` of those apart."""
        if self._steps_apart is None:
            sizes = self.sizes(self.quiet)
            self._steps_apart = np.repeat(np.arange(len(sizes)), sizes)
        step = self._steps_apart[sum(len(self.apart(before)) for before in range(span)) + row]
        ahead = self.letters[self.spans[span].begin : step]
        frames = [number_of(letter) for letter in self.quiet if self.steps[letter].shape.ear is Ear.FRAME]
        return sum(int(np.count_nonzero(ahead == letter)) for letter in frames)

    def run(self, letter: str) -> Run:
        """The columns of a quiet letter."""
        if letter not in self._runs:
            self._runs[letter] = self.steps[letter].run()
        return self._runs[letter]

    def row_numbers(self, letter: str) -> Sequence[int]:
        """The row numbers of a letter's steps at their stage."""
        if letter not in self._row_numbers:
            shape = self.steps[letter].shape
            counted = np.cumsum(self.members[:, shape.stage][self.letters])[self.letters == number_of(letter)]
            self._row_numbers[letter] = (
                counted + self.ns[0][shape.stage] - shape.followers.count(shape.stage)
            ).tolist()
        return self._row_numbers[letter]

    def _runs_of_voice(self) -> list[list[tuple[int, int]]]:
        """Passages by spans; rows are counted within each."""
        sizes = self.sizes(self.quiet)
        ends = np.cumsum(sizes)
        begins = [0, *ends[[span.end - 1 for span in self.spans]].tolist()]
        voiced = np.array([known.shape.voiced for known in self.steps.values()])
        flags = np.repeat(voiced[self.letters], sizes).astype(np.int8)
        edges = np.flatnonzero(np.diff(flags, prepend=0, append=0)).tolist()
        runs = zip(edges[::2], edges[1::2], strict=True)
        passages: list[list[tuple[int, int]]] = [[] for _ in self.spans]
        for begin, end in runs:
            span = bisect_right(begins, begin) - 1
            while begin < end:
                until = min(end, begins[span + 1])
                if until - begin >= _PASSAGE_ROWS:
                    passages[span].append((begin - begins[span], until - begins[span]))
                begin, span = until, span + 1
        return passages

    def _made(self, without: str) -> list[list[RowTuple]]:
        """The rows in order, by spans, but for those of some letters."""
        kept = np.flatnonzero(self.sizes(without))
        letters, numbering = self.letters[kept], _Numbering(self, kept, without)
        by_letter = np.argsort(letters.astype(np.uint16), kind="stable")
        counts = [0 if letter in without else known.count for letter, known in self.steps.items()]
        places = np.split(by_letter, np.cumsum(counts)[:-1])
        epochs, turns = self._ats()[:, kept]
        grouped = [
            row
            for known, at in zip(self.steps.values(), places, strict=True)
            if len(at)
            for row in _rows(self.wiring.ids, known, numbering, at, epochs[at].tolist(), turns[at].tolist())
        ]
        sizes = self.members.sum(axis=1)[letters]
        rows = list(map(grouped.__getitem__, _order(by_letter, sizes)))
        ends = np.append(0, np.cumsum(sizes))[np.searchsorted(kept, [span.end for span in self.spans])].tolist()
        return [rows[begin:end] for begin, end in pairwise([0, *ends])]

    def _ats(self) -> _Numbers:
        """Epoch and turn of each step."""
        ats: _Numbers = np.array([(span.epoch, span.turn) for span in self.spans]).T
        return np.repeat(ats, [span.end - span.begin for span in self.spans], axis=1)

    def sizes(self, without: str) -> _Numbers:
        """How many rows each step has, none those of some letters."""
        sizes: _Numbers = self.members.sum(axis=1)
        sizes[[number_of(letter) for letter in without]] = 0
        of_steps: _Numbers = sizes[self.letters]
        return of_steps


def _order(by_letter: _Numbers, sizes: _Numbers) -> list[int]:
    """Where rows are that are grouped by letter, in the order of their steps. `by_letter`: the steps so grouped; `sizes`: how many
    rows each step has."""
    begins = np.empty_like(sizes)
    begins[by_letter] = np.cumsum(sizes[by_letter]) - sizes[by_letter]
    places: list[int] = (np.repeat(begins - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())).tolist()
    return places


class _Numbering:
    """How many rows a stage has with each of the kept steps of a chunk."""

    def __init__(self, block: Block, kept: _Numbers, without: str) -> None:
        self._block = block
        self._kept = kept
        self._passed = set(chain.from_iterable(block.steps[letter].shape.members for letter in without))
        self._known: dict[int, _Numbers] = {}

    def at(self, stage: int, places: _Numbers) -> _Numbers:
        """Of one stage, with some of the kept steps."""
        if stage not in self._known:
            block, of_stage = self._block, self._block.members[:, stage]
            if stage in self._passed:
                counted = np.cumsum(of_stage[block.letters])[self._kept]
            else:
                counted = np.cumsum(of_stage[block.letters[self._kept]])
            self._known[stage] = counted + block.ns[0][stage]
        return self._known[stage][places]


def _rows(
    ids: tuple[str, ...], steps: Steps, numbering: _Numbering, at: _Numbers, epochs: list[int], turns: list[int]
) -> Iterator[RowTuple]:
    """The rows of a letter's steps, followers' behind each. `at`: which of the kept steps these are."""
    shape, handled_us, messages = steps.shape, steps.handled_us(), steps.messages()
    stage, cause, followers, lane = shape.stage, shape.cause, shape.followers, repeat(shape.kind.lane)
    ns = (numbering.at(stage, at) - followers.count(stage)).tolist()
    causes: Iterator[int] = repeat(0)
    if cause >= 0:
        causes = map(sub, (numbering.at(cause, at) - followers.count(cause)).tolist(), steps.backs())
    own = zip(
        repeat(ids[stage]), ns, repeat(ids[cause] if cause >= 0 else ""), causes, steps.available_us(handled_us),
        handled_us, lane, epochs, turns, messages, repeat(shape.fate),
    )  # fmt: skip
    if not followers:
        return own
    theirs = [
        zip(
            repeat(ids[follower]), (numbering.at(follower, at) - followers[place + 1 :].count(follower)).tolist(),
            repeat(ids[stage]), ns, handled_us, handled_us, lane, epochs, turns, messages, repeat(""),
        )
        for place, follower in enumerate(followers)
    ]  # fmt: skip
    return chain.from_iterable(zip(own, *theirs, strict=True))


def decode_block(text: str, layout: Layout) -> Block:
    """A chunk's text as columns. Raises TraceError if it is none; columns that nobody looks into may still be wrong."""
    try:
        return _decoded(wiring_of(layout), *parsed(text))
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise TraceError(f"a journal chunk is malformed: {type(error).__name__}: {str(error)[:100]}") from error


def _decoded(
    wiring: Wiring, _: int, begin_us: int, ns: list[int], ats: list[list[int]], pattern: str, stored: list[Any]
) -> Block:
    whole = [begin_us, *ns, *chain.from_iterable(ats)]
    if not set(map(type, whole)) <= WHOLE or not -_MOST < min(whole) <= max(whole) < _MOST:
        raise ValueError("times, row counts and epochs are whole numbers")
    if len(ns) != len(wiring.ids) or not pattern:
        raise ValueError("row counts do not fit the stages")
    # What the writer keeps to; a file that does not would make much of little.
    most = 2 * len(wiring.ids)
    if len(pattern) > CHUNK_ROWS or len(ats) > CHUNK_EPOCHS or len(stored) > CHUNK_SHAPES:
        raise ValueError("more steps, epochs or shapes than a chunk can have")
    if any(len(head) > 4 + most for head, *_ in stored):
        raise ValueError("more stages than a shape can have")
    steps, quiet, ears = dict[str, Steps](), "", set[Ear]()
    members = np.zeros((len(stored), len(ns)), np.int64)
    for number, (head, *columns) in enumerate(stored):
        letter, shape = chr(FIRST_LETTER + number), shape_of(wiring, *head)
        known = steps[letter] = Steps(shape, pattern.count(letter), begin_us, columns)
        for stage in shape.members:
            members[number, stage] += 1
        if shape.ear is not None and (shape.ear is Ear.CREDIT or shape.ear not in ears) and known.quiet():
            ears.add(shape.ear)
            quiet += letter
    counts = [known.count for known in steps.values()]
    if sum(counts) != len(pattern) or not all(counts):
        raise ValueError("letters and shapes are not the same")
    if sum(known.count * len(known.shape.members) for known in steps.values()) > CHUNK_ROWS + most:
        raise ValueError("more rows than a chunk can have")
    letters = np.frombuffer(pattern.encode("utf-32-le"), np.uint32).astype(np.intp) - FIRST_LETTER
    spans, quiet = _cut(_spans(ats, len(pattern)), letters, steps, quiet)
    of_spans = [np.bincount(letters[begin:end], minlength=len(steps)) for begin, end, *_ in spans]
    before = np.cumsum([np.zeros(len(steps), np.int64), *of_spans], axis=0)
    rows = (before @ members + np.array(ns)).tolist()
    orderly = all(known.orderly() for known in steps.values())
    return Block(wiring, pattern, letters, steps, spans, quiet, members, rows, before.astype(np.int32), orderly)


def _spans(ats: list[list[int]], end: int) -> list[Span]:
    """Where epoch and turn stay."""
    begins = [begin for begin, _, _ in ats]
    if begins != sorted(set(begins)) or begins[0] != 0 or begins[-1] >= end:
        raise ValueError("epochs do not fit the steps")
    ends = [*begins[1:], end]
    return [Span(begin, behind, epoch, turn) for (begin, epoch, turn), behind in zip(ats, ends, strict=True)]


def _cut(spans: list[Span], letters: _Numbers, steps: dict[str, Steps], quiet: str) -> tuple[list[Span], str]:
    """The spans, cut where steps begin or cease to stir frames, and where a frame is missing; and what is quiet then: no frames,
    should there be too many cuts."""
    stirring = np.array([known.shape.early and letter not in quiet for letter, known in steps.items()])[letters]
    places = set((np.flatnonzero(np.diff(stirring)) + 1).tolist())
    for letter in quiet:
        if steps[letter].shape.ear is Ear.FRAME and (jumps := steps[letter].jumps()):
            places |= set(np.flatnonzero(letters == number_of(letter))[jumps].tolist())
    if not places:
        return [span._replace(stirs=bool(stirring[span.begin])) for span in spans], quiet
    if len(places) + len(spans) > CHUNK_EPOCHS:
        quiet = "".join([letter for letter in quiet if steps[letter].shape.ear is Ear.CREDIT])
        return [span._replace(stirs=True) for span in spans], quiet
    ends = sorted(places | {span.end for span in spans})
    begins, owners = [0, *ends[:-1]], [span.begin for span in spans]
    at = [spans[bisect_right(owners, begin) - 1][2:4] for begin in begins]
    return [
        Span(begin, end, *of, bool(stirring[begin])) for begin, end, of in zip(begins, ends, at, strict=True)
    ], quiet


def number_of(letter: str) -> int:
    """A letter's number, by which lists go."""
    return ord(letter) - FIRST_LETTER
