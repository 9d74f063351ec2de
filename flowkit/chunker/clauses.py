"""Where a clause may be cut: at which commas, dashes, colons and semicolons, and between which words if it must be.

Whether the chunk is long enough to be cut is decided in `marks`. Here it is only decided where a cut does no harm.
"""

from __future__ import annotations

from .languages import Language, Stop
from .text import DIGIT, IDEOGRAPH, KIND, LETTER, WIDE_PAUSES
from .view import LINE_END, NO, WAIT, View, past

_BRACKETS = ")]}）】"
_CLOSING_QUOTES = "\"'”’“»"
_DASHES = "-–—"
_FAR = 40
"""How many characters of a word are examined."""


def clause_end(view: View, at: int) -> int:
    """Whether the mark at `at` separates clauses: the index to cut at, NO or WAIT."""
    char = view.text[at]
    if any(hold in _BRACKETS for hold in view.holds):
        return NO
    if char in WIDE_PAUSES:
        return _wide_pause(view, at)
    end = past(view.text, at + 1, _CLOSING_QUOTES)
    if view.ends(end):
        return WAIT
    following = view.following(end)
    if following == WAIT or (following == LINE_END or (following == end and char != "—")):
        return WAIT if following == WAIT else NO
    if char in _DASHES:
        return _dash(view, at, end, following)
    return _comma(view, at, end, following) if char == "," else _colon(view, at, end, following)


def _wide_pause(view: View, at: int) -> int:
    """Full-width and Arabic marks need no space after them, but numbers and lists of numbers stay whole."""
    if view.ends(at + 1):
        return WAIT
    return NO if _digits(view, at, at + 1) or not view.text[view.start : at].strip() else at + 1


def _digits(view: View, at: int, following: int) -> bool:
    """Whether a mark is between two numbers."""
    return at > view.start and view.text[at - 1].isdigit() and view.char(following).isdigit()


def _colon(view: View, at: int, end: int, following: int) -> int:
    """A colon or semicolon, unless it belongs to a number, a `:code:` or an `&entity;`."""
    return NO if _digits(view, at, following) or view.text[view.word] in ":&" else end


def _dash(view: View, at: int, end: int, following: int) -> int:
    """A spaced dash, or a long one without spaces. A range (9 a.m. – 5 p.m.) and a bullet do not count."""
    before = view.text[view.start : at].rstrip()
    if not before or end != at + 1 or (not before[-1].isalnum() and before[-1] not in _CLOSING_QUOTES + ")*_"):
        return NO
    spaced = view.text[at - 1].isspace()
    word = before.split()[-1]
    if before[-1].isdigit() or word.lower() in view.language.leading or view.language.stop(word) is Stop.OPEN:
        return NO
    if spaced:
        return end if following > end else NO
    return end if view.text[at] == "—" and (following > end or view.char(end).isalpha()) else NO


def _comma(view: View, at: int, end: int, following: int) -> int:
    """A comma, unless it is inside a date, a number, an address, or a name with its title."""
    before = view.text[view.word : at].strip("*_\"'(“„")
    first = view.text[following]
    if before.endswith(".") or before.lower() in view.language.leading or _digits(view, at, following):
        return NO
    if (first.isdigit() and not before[:1].islower()) or (before.isdigit() and _referred(view)):
        return NO
    if not first.isalpha() or (first in "Ia" and before[:1].islower()):
        return end  # "I" and "a" are nearly always words, so waiting would not pay
    return _joined(view, following, end)


def _referred(view: View) -> bool:
    """Whether the number before the comma belongs to a reference: Art. 5, para. 2."""
    return view.text[view.start : view.word].rstrip().endswith((".", "§"))


def _joined(view: View, following: int, end: int) -> int:
    """A cut, unless what follows the comma belongs before it: a state (NY), an abbreviation (p. 5), a suffix (Jr.)."""
    if view.ends(following + 1):
        return WAIT
    first, second = view.text[following], view.char(following + 1)
    if second == "." or (first.isupper() and second.isupper()):
        return NO
    if (first + second).lower() not in view.language.following_heads:
        return end
    word = view.next_word(following)
    if word is None:
        return WAIT
    return NO if word.lower() in view.language.following else end


def glued(text: str, gap: int, language: Language) -> bool:
    """Whether the words around the space at `gap` belong together, so that a forced cut should be elsewhere.

    Numbers belong to what they count and to what counts them, abbreviations and initials to what follows, names to
    names, and marks without letters to both sides.
    """
    before, behind = text[max(gap - _FAR, 0) : gap].rsplit(None, 1), text[gap : gap + _FAR].split(None, 1)
    if not before or not behind:
        return True
    left, right = before[-1], behind[0]
    if left[-1].isdigit() or right[0].isdigit() or not _lettered(left) or not _lettered(right):
        return True
    if left[-1] == ".":
        stop = language.stop(left[:-1].lstrip("(\"'“„"))
        return stop not in (None, Stop.WORD, Stop.UNIT) or len(left) <= 3 or "." in left[:-1]
    return (left[0].isupper() and right[0].isupper() and left[-1].isalnum()) or (left[-1] == ")" and len(left) <= 5)


def _lettered(word: str) -> bool:
    return word[0].isalpha() or any(KIND[char] in (LETTER, DIGIT, IDEOGRAPH) for char in word)
