"""What the chunker needs to know about a language."""

from __future__ import annotations

from enum import Enum

from ..value import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Literal

    Ordinals = Literal["", "lower", "dates", "all"]


class Stop(Enum):
    """What a full stop after a word means."""

    TITLE = "never an end: Dr. Mr. and words that something always follows: e.g. vs."
    WORD = "an abbreviation before a number; else an ordinary word: No. ch. art."
    UNIT = "after a number like OPEN; else an ordinary word: min. in. oz."
    OPEN = "may end a sentence; only a starter after it decides: Inc. U.S."
    LAST = "ends a list or a time; upper case after it begins a sentence, unless it is a time zone: etc. p.m."
    NAME = "a name that ends with a mark, like OPEN: Yahoo!"


class Language:
    """The words of one language. Each argument is a list of words separated by blanks, in lower case unless only the
    capitalised form is meant.

    Args:
        titles, numbers, words, units, opens, lasts, names: what a full stop (for names, a mark) after a word means; see
        `Stop`. `numbers` (Fig. Jan. Vol.) are followed by a number and are otherwise like `opens`; they are separate
        for the reader.
        starters: words that begin a sentence so often that one after an ambiguous full stop decides.
        ordinals: whether a full stop makes a number an ordinal: before `lower` case (`3. maja`), before upper case too
            (`all`), or before upper case only after words that lead to `dates` in German (`am 3. Oktober`).
        zones: capitalised words that belong to a time before them: Eastern.
        clipped: words of up to this many letters count as abbreviations before lower case and numbers; 0 where people
            write sentences without capitals.
        endings: last parts of compounds that are abbreviated (`Hauptstr.`), as OPEN.
        leading: words before a comma that belong to what follows: weekdays.
        following: words after a comma that belong to what is before it: Inc., Jr.
        code_example: what is spoken for a code block.
        stop_marks: marks that end a sentence in this language only.
    """

    def __init__(
        self,
        code: str,
        *,
        titles: str = "",
        numbers: str = "",
        words: str = "",
        units: str = "",
        opens: str = "",
        lasts: str = "",
        names: str = "",
        starters: str = "",
        leading: str = "",
        following: str = "",
        ordinals: Ordinals = "",
        endings: str = "",
        code_example: str = "code example",
        stop_marks: str = "",
        zones: str = "",
        clipped: int = 3,
    ) -> None:
        lists = {
            Stop.OPEN: opens + " " + numbers, Stop.LAST: lasts, Stop.NAME: names,
            Stop.UNIT: units, Stop.WORD: words, Stop.TITLE: titles,
        }  # fmt: skip
        self.code, self.code_example, self.stop_marks = code, code_example, stop_marks
        self.ordinals, self.clipped = ordinals, clipped
        self.stops = {word: stop for stop, listed in lists.items() for word in listed.split()}
        self.starters = frozenset(starters.split())
        self.endings = tuple(endings.split())
        self.leading, self.zones = frozenset(leading.split()), frozenset(zones.split())
        self.following = frozenset((_FOLLOWING + following).split())
        self.following_heads = {word[:length] for word in self.following for length in range(len(word) + 1)}

    def with_ordinals(self, ordinals: Ordinals) -> Language:
        """The same language with another reading of numbers that have a full stop."""
        other = Language.__new__(Language)
        other.__dict__.update(self.__dict__, ordinals=ordinals)
        return other

    def stop(self, word: str) -> Stop | None:
        """What a full stop after `word` means; None for an ordinary word."""
        lower = word.lower()
        found = self.stops.get(word) or self.stops.get(lower)
        if found is None:
            return Stop.OPEN if self.endings and lower.endswith(self.endings) else None
        if found is not Stop.TITLE and word not in self.stops and word.isupper() and word.isalpha() and len(word) > 1:
            return None  # EST, MIN, IN: in upper case, a word is not an abbreviation
        return found

    def starts(self, word: str) -> bool:
        """Whether `word` begins sentences. Of "I'll" or "l'eau" the part before the apostrophe counts too."""
        lower = word.lower()
        head, apostrophe, _ = lower.partition("'")
        return lower in self.starters or head in self.starters or head + apostrophe in self.starters


_FOLLOWING = "ext etc usw ecc itd osv enz jr sr inc ltd llc llp corp co phd ph.d md m.d esq gmbh ag plc ii iii "
