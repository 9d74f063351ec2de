"""What a decision may look at, and the three answers that it may give."""

from __future__ import annotations

from .languages import Language
from .text import GHOST, IDEOGRAPH, KIND, LETTER, LINE, SPACE, emoji_end

NO = 0
"""Not an end. (The answer for an end is the index to cut at, which is never 0.)"""
WAIT = -1
"""The text does not tell yet. Nothing has changed, and the same question comes again when there is more text."""
LINE_END = -2
"""The line or the reply ends here."""

LOOK = 32
"""How many characters ahead a decision looks. What is undecided then is decided as if a blank followed.

Each question costs at most this much, however often it is asked, so the whole is linear in the text.
"""

_PERSONS = " dr mr mrs ms prof hr fr herr sr sra srta dra sig dott mme mlle pan pani г-н "
OPENERS = "*_\"'“‘«([„‚¿¡#>《「『"
"""What may be between a space and the first letter of a sentence."""


class View:
    """The text around a mark.

    Args:
        text: all text that was not returned yet, as far as it has come.
        final: whether no more will come.
        start: where the chunk begins.
        word: where the word that contains the mark, or that is before it, begins.
        language: the language whose rules apply.
        holds: the closing marks that are still awaited, the innermost last.
    """

    __slots__ = ("final", "holds", "language", "start", "text", "word")

    def __init__(
        self, text: str, final: bool, start: int, word: int, language: Language, holds: tuple[str, ...] = ()
    ) -> None:
        self.text, self.final, self.start, self.word = text, final, start, word
        self.language, self.holds = language, holds

    def char(self, at: int) -> str:
        """The character at an index; "" after the end."""
        return self.text[at] if at < len(self.text) else ""

    def ends(self, at: int) -> bool:
        """Whether the text so far ends at `at`, so that what follows is unknown."""
        return at >= len(self.text) and not self.final

    def following(self, end: int) -> int:
        """The index of the first character after `end` that is not a space; LINE_END if there is none; or WAIT."""
        # Half of what a decision may look at: the other half is for what opens behind the space.
        text, limit = self.text, end + LOOK // 2
        behind = text[end : end + 2]
        if behind.isalnum():
            return end
        if behind[:1] == " " and behind[1:].isalnum():
            return end + 1  # the usual case
        while end < len(text) and end < limit and KIND[text[end]] == SPACE:
            end += 1
        if end == len(text):
            return LINE_END if self.final else WAIT
        return LINE_END if KIND[text[end]] == LINE else end

    def opened(self, at: int) -> int:
        """The index of the first character from `at` on that does not open a quotation, emphasis or bracket; or WAIT."""
        limit = at + LOOK // 2
        while at < limit and (char := self.char(at)) and char in OPENERS:
            at += 1
        return WAIT if self.ends(at) else at

    def emoji_end(self, at: int) -> int:
        """The end of the emoji at `at`, which may consist of several characters; or WAIT."""
        end = emoji_end(self.text, at)
        return WAIT if self.ends(end) else end

    def next_word(self, at: int) -> str | None:
        """The whole word from `at` on, with straight apostrophes; None if it may not be complete yet."""
        end, limit = at, min(at + LOOK, len(self.text))
        while end < limit and (KIND[self.text[end]] in (LETTER, GHOST, IDEOGRAPH) or self.text[end] in "'’"):
            end += 1
        if end < at + LOOK and self.ends(end):
            return None
        return self.text[at:end].replace("’", "'").rstrip("'") if end > at else ""

    def starter(self, at: int) -> int:
        """Whether the word from `at` on is one that begins sentences, or a title: 1, NO or WAIT."""
        word = self.next_word(at)
        if word is None:
            return WAIT
        titled = self.char(at + len(word)) == "." and f" {word.lower()} " in _PERSONS
        return int(titled or self.language.starts(word) or self.language.starts(word + "'"))

    def held(self, run: int, end: int) -> bool:
        """Whether a bracket or quotation is still open at `end`, not counting those closed from `run` on."""
        if not self.holds:
            return False
        holds = list(self.holds)
        for char in self.text[run:end]:
            if holds and char == holds[-1]:
                holds.pop()
        return bool(holds)

    def upper(self, at: int) -> bool:
        # A digraph such as ǅ is title case and not upper case.
        return self.char(at).isupper() or self.char(at).istitle()


def past(text: str, at: int, members: str) -> int:
    """The end of the run of `members` from `at` on, at most LOOK long."""
    for char in text[at : at + LOOK]:
        if char not in members:
            break
        at += 1
    return at


def word_start(text: str, start: int, at: int) -> int:
    """Where the word that ends at `at` begins; at most as far back as the longest abbreviation."""
    limit = at - 2 * LOOK
    before = text[limit if limit > start else start : at]
    return at if not before or before[-1].isspace() else at - len(before.rsplit(None, 1)[-1])
