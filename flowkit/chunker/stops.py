"""Where sentences end: at which full stops, exclamation and question marks, ellipses and emoji.

A full stop has classes. Behind a title it never ends a sentence; behind what may or may not be an abbreviation only
a word that begins sentences tells, so the whole next word is awaited; behind all else the next character tells.
Each question looks at the text alone and changes nothing.
"""

from __future__ import annotations

from .languages import Stop
from .tails import closing
from .text import DIGIT, DOTS, GHOST, IDEOGRAPH, KIND, LETTER, STOPS, WIDE_STOPS
from .view import LINE_END, NO, WAIT, View, past

_WORD = (LETTER, DIGIT, IDEOGRAPH, GHOST)
_OUTRIGHT = "¿¡"
"""Marks that only begin sentences."""
_VOWELS = frozenset("aeiouyäöüàáâãåæèéêëìíîïòóôõøœùúûýıαεηιουωάέήίόύώаеёиоуыэюяієї")
_ROMAN = frozenset("IVXLC")
_CLOSING = "\"'”’“‘»«›‹」』）】〉》)]"
_CHEERS = ((0x1F44A, 0x1F450), (0x1F600, 0x1F64F), (0x1F910, 0x1F93F), (0x1F970, 0x1F97A), (0x1F389, 0x1F38A))
"""Faces, hands and confetti end what was said; other emoji may stand for a word."""


def sentence_end(view: View, at: int) -> int:
    """Whether a sentence ends with the mark at `at`: the index to cut at, NO or WAIT."""
    run = max(past(view.text, at, STOPS), at + 1)
    end = closing(view, run)
    if end == WAIT or view.ends(end):
        return WAIT
    if view.held(run, end) or end == len(view.text):
        return NO
    marks, quoted = view.text[at:run], end > run and any(char in _CLOSING for char in view.text[run:end])
    if marks == ".":
        return _full_stop(view, at, end, quoted)
    if all(mark in DOTS for mark in marks):
        return _ellipsis(view, end)
    if any(mark in WIDE_STOPS for mark in marks):
        return _wide(view, end, quoted)
    return _exclamation(view, at, end, quoted)


def emoji_end(view: View, at: int, emoji: int) -> int:
    """Whether a sentence without a mark ends with the emoji or smiley from `at` to `emoji`: index, NO or WAIT."""
    end = closing(view, emoji)
    if end == WAIT or view.ends(end):
        return WAIT
    if view.held(at, end) or not any(KIND[char] in _WORD for char in view.text[view.start : at]):
        return NO  # a bullet, or still inside a bracket
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    first = view.text[following]
    if KIND[first] == IDEOGRAPH or first in _OUTRIGHT:
        return end
    if following == end or not (view.upper(following) or _caseless(first)):
        return NO
    code = ord(view.text[at])
    if code < 0x80 or any(low <= code <= high for low, high in _CHEERS):
        return end
    return _if_starter(view, following, end)


def _ellipsis(view: View, end: int) -> int:
    """An ellipsis splits only before upper case: elsewhere the speaker only hesitates."""
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    letter = view.opened(following)
    if letter == WAIT:
        return WAIT
    if following == end:
        return _if_starter(view, end, end) if view.upper(end) else NO
    return end if view.upper(letter) else NO


def _wide(view: View, end: int, quoted: bool) -> int:
    """Full-width and Indic marks end outright, unless a Japanese particle leads on behind the closing bracket."""
    if quoted and "\u3041" <= view.char(end) <= "\u309f":
        return NO
    return end


def _exclamation(view: View, at: int, end: int, quoted: bool) -> int:
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    if following == end:
        return _tight(view, at, end)
    if quoted and view.text[following].islower():
        return NO
    if view.language.stop(view.text[view.word : at]) is Stop.NAME:
        return _open(view, following, end)
    return end


def _full_stop(view: View, at: int, end: int, quoted: bool) -> int:
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    if following == end:
        return _tight(view, at, end)
    first = view.text[following]
    if at > view.start and KIND[view.text[at - 1]] in _WORD:
        word = _before(view.text[view.word : at])
        if _is_marker(view, word):
            return NO
        stop = _class(view, word)
        if stop is Stop.TITLE or (stop is Stop.WORD and first.isdigit()):
            return NO
        if stop is Stop.OPEN:
            return _open(view, following, end)
        if first.islower() and (_is_roman(word) or view.language.ordinals and _is_ordinal(word)):
            return NO
        if (first.islower() or first.isdigit()) and _clipped(word):
            return NO
    return NO if quoted and first.islower() else end


def _class(view: View, word: str) -> Stop | None:
    """What the full stop behind `word` means; OPEN also for initials, initialisms and ordinals."""
    stop = view.language.stop(word)
    if stop is None and "-" in word:
        stop = view.language.stop(word.rpartition("-")[2])
    if stop is Stop.UNIT or word[:1].isdigit():
        unit = view.language.stop(word.lstrip("0123456789.,")) if word[:1].isdigit() else stop
        counted = word[:1].isdigit() or view.text[view.start : view.word].rstrip()[-1:].isdigit()
        if unit in (Stop.UNIT, Stop.OPEN) and counted:
            return Stop.OPEN
        stop = None if stop is Stop.UNIT else stop
    if stop is not None:
        return stop
    if _is_initial(word) or _is_initialism(word):
        return Stop.OPEN
    return Stop.OPEN if view.language.ordinals == "all" and _is_ordinal(word) else None


def _open(view: View, following: int, end: int) -> int:
    """Behind what may be an abbreviation only a word that begins sentences, or a mark that does, tells."""
    if view.text[following] in _OUTRIGHT:
        return end
    letter = view.opened(following)
    if letter == WAIT:
        return WAIT
    if view.text[following] in "([" or not (view.upper(letter) or _caseless(view.char(letter))):
        return NO
    return _if_starter(view, letter, end)


def _if_starter(view: View, letter: int, end: int) -> int:
    starter = view.starter(letter)
    return starter if starter in (WAIT, NO) else end


def _tight(view: View, at: int, end: int) -> int:
    """No space behind the mark: an address or a number, unless a plain word stands before and a starter behind."""
    first, before = view.text[end], view.text[at - 1] if at > view.start else ""
    if first in _OUTRIGHT or (before and KIND[first] == IDEOGRAPH and KIND[before] != DIGIT and not before.isascii()):
        return end
    word = view.text[view.word : at]
    plain = len(word) > 1 and word.isalpha() and word[1:].islower() and view.language.stop(word) is None
    return _if_starter(view, end, end) if plain and view.upper(end) else NO


def _before(token: str) -> str:
    """The word that a full stop stands behind, without what opens before it: brackets, quotes, emphasis, "l'"."""
    if token.isalpha():
        return token
    for at in range(len(token) - 1, -1, -1):
        if KIND[token[at]] not in _WORD and token[at] not in ".-":
            part = token[at + 1 :]
            # "aren't", "Mary's" end in no abbreviation; "l'avv" does.
            return token if token[at] in "'’" and len(part) <= 2 and at else part
    return token


def _is_marker(view: View, word: str) -> bool:
    """Whether `1.` or `b.` numbers an item: at the beginning of a chunk, or behind a colon."""
    if len(word) > 2 or not (word.isdigit() or (len(word) == 1 and word.isalpha())):
        return False
    before = view.text[view.start : view.word].rstrip()
    return before.endswith((":", ";")) or not any(KIND[char] in _WORD for char in before)


def _is_initial(word: str) -> bool:
    return len(word) <= 4 and sum(KIND[char] == LETTER for char in word) == 1 and not any(map(str.isdigit, word))


def _is_initialism(word: str) -> bool:
    parts = word.split(".") if "." in word else ()
    return len(parts) > 1 and all(part.isalpha() and len(part) <= 2 for part in parts)


def _is_ordinal(word: str) -> bool:
    return word.isdigit() and len(word) <= 3 or _is_roman(word)


def _is_roman(word: str) -> bool:
    return 1 < len(word) <= 6 and _ROMAN.issuperset(word)


def _clipped(word: str) -> bool:
    """A short word without a vowel is an abbreviation that no list knows; a doubled letter makes it a sound: hmm, shh."""
    lower = word.lower()
    if not 2 <= len(word) <= 5 or not word.isalpha() or word.isupper() or not lower.isascii() or word == "hm":
        return False
    return _VOWELS.isdisjoint(lower) and all(one != other for one, other in zip(lower, lower[1:], strict=False))


def _caseless(char: str) -> bool:
    return char.isalpha() and not char.isupper() and not char.islower()
