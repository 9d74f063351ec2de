"""The chunk that is being filled."""

from __future__ import annotations

from collections import Counter

from .text import (
    DUE,
    IDEOGRAPH,
    KIND,
    LETTER,
    LINE,
    LONGEST_CHARACTER,
    PAIRS,
    SHARE,
    SIGN,
    SPACE,
    WORD_SIZE,
    measure,
    word_at,
)
from .value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLD = 20
"""Tokens after which an open bracket or quotation no longer holds back the end of a sentence: it may never close."""
# A » opens a quotation in German and closes one in French. So it does not show that one is open.
_OPENERS = frozenset(PAIRS) - {"»"}


class Draft:
    """Where the scan is within one chunk. All indices refer to the text that was not returned yet.

    Args:
        start: where the chunk begins.
        at: the next character to read.
        size: tokens so far.
        before: the kind of the character read before `at`; -1 if that is a mark, or none.
        run: the number of characters of that kind directly before it.
        clauses: where clauses end, each with the size there.
        wholes: the spans that were skipped as a whole, from and to.
        holds: the closing marks that are awaited, each with the size at which it was opened.
    """

    __slots__ = ("at", "before", "clauses", "holds", "run", "size", "start", "wholes")

    def __init__(self, start: int = 0) -> None:
        self.start = self.at = start
        self.size, self.before, self.run = 0, -1, 0
        self.clauses: list[tuple[int, int]] = []
        self.wholes: list[tuple[int, int]] = []
        self.holds: list[tuple[str, int]] = []

    def read(self, text: str, most: int) -> bool:
        """Reads the characters that are not marks; False if the next one would make the chunk larger than `most`.

        The space before a chunk does not count, but whatever comes first in the chunk does.
        """
        at, size, before, run, length = self.at, self.size, self.before, self.run, len(text)
        fits = True
        while at < length and (kind := KIND[text[at]]) <= SIGN:
            # A whole word at once, where it cannot exceed the maximum: to read its characters one by one takes longer.
            if kind <= SPACE and kind != before and size + WORD_SIZE < most and (word := word_at(text, at)):
                run = word.end() - at - 1 - (kind == SPACE)
                at, size, before = word.end(), size + run // 6 + 1, LETTER
                continue
            longer = run + 1 if kind == before else 0
            if (longer % SHARE[kind] == DUE[kind]) if size else kind != SPACE:
                if size == most:
                    fits = False
                    break
                size += 1
            at, before, run = at + 1, kind, longer
        self.at, self.size, self.before, self.run = at, size, before, run
        return fits

    def weigh(self, text: str, end: int, last: bool) -> int:
        """Tokens from the mark at `at` to `end`. A newline does not count before a chunk, nor as its `last`
        character."""
        if end - self.at > 1:
            return measure(text[self.at : end])
        return 1 if KIND[text[self.at]] != LINE else int(self.size > 0 and not last)

    def advance(self, end: int, size: int) -> None:
        """Reads a mark, or skips a span as a whole."""
        if end > self.at + 1:
            self.wholes.append((self.at, end))
        self.at, self.size, self.before = end, self.size + size, -1

    def awaited(self) -> tuple[str, ...]:
        """The closing marks in `holds`, without those that have been open too long."""
        if self.size - self.holds[0][1] > HOLD:
            self.holds = [hold for hold in self.holds if self.size - hold[1] <= HOLD]
        return tuple(mark for mark, _ in self.holds)

    def close(self, mark: str) -> bool:
        """Notes a closing mark; False if no such mark is awaited."""
        marks = [hold for hold, _ in self.holds]
        if mark not in marks:
            return False
        # What was opened after it and never closed is over too, or it would hold back the next sentences.
        del self.holds[len(marks) - 1 - marks[::-1].index(mark) :]
        return True

    def gaps(self, text: str, limit: int, bracketed: bool) -> Iterator[int]:
        """Where words end before `limit`, the last first; those inside brackets only if `bracketed`."""
        limit = min(limit, len(text))
        filled = text[self.start : limit]
        first = self.start + len(filled) - len(filled.lstrip())
        brackets = None if bracketed or _OPENERS.isdisjoint(filled) else Counter(filled)
        wholes = [*self.wholes]
        for at in range(limit - 1, first, -1):
            char = text[at]
            if brackets is not None:
                brackets[char] -= 1
            if KIND[char] != SPACE or KIND[text[at - 1]] == SPACE:
                continue
            while wholes and wholes[-1][0] >= at:
                wholes.pop()
            if not (wholes and at < wholes[-1][1]) and (brackets is None or _closed(brackets)):
                yield at

    def hard_end(self, text: str) -> int:
        """Where to cut if there is no better place: here, or before the character, number or word that would be split.

        A character keeps its combining marks, so one that is too large by itself ends later. Numbers and words of other
        scripts stay whole among ideographs.
        """
        filled = text[self.start : self.at]
        if filled.isascii() and text[self.at].isascii():
            return self.at
        # Needed only for a cut inside a word of another script, so not imported at the start.
        from ..words import character_end, character_ends

        first = self.start + len(filled) - len(filled.lstrip())
        ends = [self.start + end for end in character_ends(text[self.start : self.at + 1])]
        ends = [end for end in ends if first < end <= self.at]
        for end in reversed(ends):
            if IDEOGRAPH in (KIND[text[end - 1]], KIND[text[end]]) or not text[end - 1].isascii():
                return end
        return ends[-1] if ends else max(self.at, character_end(text, first, LONGEST_CHARACTER))

    def shift(self, by: int) -> None:
        """The text lost its first `by` characters, all of them before `start`."""
        self.start, self.at = self.start - by, self.at - by
        if not (self.clauses or self.wholes):
            return  # the usual case
        self.clauses = [(end - by, size) for end, size in self.clauses]
        self.wholes = [(low - by, high - by) for low, high in self.wholes]


def _closed(counts: Counter[str]) -> bool:
    """Whether every bracket that opens in a text closes in it, given how often each character occurs."""
    return all(counts[mark] <= counts[PAIRS[mark]] for mark in _OPENERS)


def size_of(text: str) -> int:
    """The size of a chunk's text: at least 1, without the space before it."""
    return max(1, measure(text.lstrip()))
