"""The chunk that is being filled."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .text import DUE, KIND, LETTER, SHARE, SPACE, measure

_PLAIN = re.compile("[a-zA-ZÀ-ÖØ-öø-ÿЀ-ӿ]*").match
"""The letters most texts are made of, taken a word at a time: the same as one by one, only faster."""
LONGEST = 24
HOLD = 20
"""Tokens after which an open bracket or quotation no longer holds back a sentence's end: it may never close."""


@dataclass(slots=True, eq=False, repr=False, match_args=False)  # lean: the import is part of the start-up
class Draft:
    """Where the scan stands within one chunk; all indices are into the text not handed out yet.

    Args:
        start: where the chunk begins.
        at: the next character to look at.
        word: where the present word begins.
        size: tokens so far.
        run: characters of the same kind directly before `at`.
        clauses: where clauses end, each with the size there.
        gaps: where words end, each with whether no bracket is open there.
        holds: closing marks that are awaited, each with the size at which it was opened.
    """

    start: int = 0
    at: int = 0
    word: int = 0
    size: int = 0
    run: int = 0
    clauses: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[tuple[int, bool]] = field(default_factory=list)
    holds: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def beginning(cls, at: int) -> Draft:
        return cls(at, at, at)

    def read(self, text: str, most: int) -> bool:
        """Takes the characters that ask nothing; False if the next one would make the chunk larger than `most`.

        The space before a chunk is free.
        """
        at, size, run, length = self.at, self.size, self.run, len(text)
        before = KIND[text[at - 1]] if at > self.start else None
        while at < length and (kind := KIND[text[at]]) <= SPACE:
            run = run + 1 if kind == before else 0
            before = kind
            if kind == LETTER and size < most - LONGEST // 6:
                end = _PLAIN(text, at, at + LONGEST).end()  # type: ignore[union-attr]  # it matches the empty run, too
                if end > at:
                    size += (run + end - at + 5) // 6 - (run + 5) // 6
                    run, at = run + end - at - 1, end
                    continue
            elif kind == SPACE:
                if size and self.word < at:
                    self.gaps.append((at, not self.holds))
                self.word = at + 1
            if run % SHARE[kind] == DUE[kind] and (size or kind != SPACE):
                if size == most:
                    break
                size += 1
            at += 1
        else:
            most = -1  # nothing was too large
        self.at, self.size, self.run = at, size, run
        return most < 0

    def part(self, at: int, size: int) -> None:
        """Takes note of the space at `at`, where a word may end and the next may begin."""
        if size and self.word < at:
            self.gaps.append((at, not self.holds))
        self.word = at + 1

    def awaited(self) -> tuple[str, ...]:
        """The closing marks awaited, those forgotten that have been open too long."""
        if self.holds and self.size - self.holds[0][1] > HOLD:
            self.holds = [hold for hold in self.holds if self.size - hold[1] <= HOLD]
        return tuple(mark for mark, _ in self.holds)

    def close(self, mark: str) -> bool:
        """Takes note of a closing mark; False if none such is awaited."""
        marks = [hold for hold, _ in self.holds]
        if mark not in marks:
            return False
        del self.holds[len(marks) - 1 - marks[::-1].index(mark) :]
        return True

    def advance(self, end: int, size: int) -> None:
        self.at, self.size = end, self.size + size

    def shift(self, by: int) -> None:
        """The text lost its first `by` characters, all before `start`."""
        self.start, self.at, self.word = self.start - by, self.at - by, max(self.word - by, 0)
        self.clauses = [(end - by, size) for end, size in self.clauses]
        self.gaps = [(gap - by, free) for gap, free in self.gaps]


def size_of(text: str) -> int:
    """The size of a chunk's text: at least 1, the space before it not counted."""
    return max(1, measure(text.lstrip()))
