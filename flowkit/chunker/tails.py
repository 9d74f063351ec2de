"""What belongs to the sentence before it: closing marks, then emoji and smileys."""

from __future__ import annotations

from .text import EMOJI, GHOST, KIND, QUOTES, SPACE
from .view import LOOK, NO, WAIT, View, past

_EITHER = "*_~\"'“‘«»‹›"
"""What may close or open. It closes if an odd number of them is before it in the chunk, or if no word follows
directly."""
_FACES = [eyes + nose + mouth for eyes in ":;=" for nose in ("", "-", "'") for mouth in ")(DPpOo/|*]["]
_SMILEYS = frozenset([*_FACES, "<3", "^^"])
_SMILEY_HEADS = frozenset(smiley[:length] for smiley in _SMILEYS for length in range(1, len(smiley)))


def closing(view: View, at: int) -> int:
    """The end of everything that closes from `at` on: quotation marks, brackets, emphasis, tags, footnotes, emoji; or
    WAIT."""
    if view.text[at : at + 1] == " " and view.text[at + 1 : at + 2].isalnum():
        return at  # the usual case
    limit = at + LOOK
    while at < limit:
        step = _one(view, at)
        if step in (NO, WAIT):
            return WAIT if step == WAIT else at
        at = step
    return at


def _one(view: View, at: int) -> int:
    """The end of the single closing thing at `at`; NO if there is none; or WAIT."""
    if at >= len(view.text):
        return NO if view.final else WAIT
    char = view.text[at]
    if char in _EITHER:
        return _either(view, at)
    if char in QUOTES or KIND[char] == GHOST:
        return at + 1
    if KIND[char] == EMOJI:
        return view.emoji_end(at)
    if char == "<":
        return _tag(view, at)
    if char == "[":
        return _footnote(view, at)
    return _spaced(view, at) if KIND[char] == SPACE else NO


def _either(view: View, at: int) -> int:
    if view.text.count(view.text[at], view.start, at) % 2:
        return at + 1
    end = past(view.text, at, _EITHER)
    if view.ends(end):
        return WAIT
    return NO if view.char(end).isalnum() else at + 1


def _spaced(view: View, at: int) -> int:
    """An emoji, a smiley or a French closing quotation mark after one space."""
    if view.ends(at + 1):
        return WAIT
    char = view.char(at + 1)
    if char and KIND[char] == EMOJI:
        return view.emoji_end(at + 1)
    # Only if a quotation is open. Otherwise it opens the next one, as in German.
    if char == "»" and "»" in view.holds:
        return at + 2
    return smiley(view, at + 1) if char in _SMILEY_HEADS else NO


def smiley(view: View, at: int) -> int:
    """The end of the smiley at `at`, which must be followed by a blank; NO or WAIT."""
    head = view.text[at : at + 3]
    if head in _SMILEY_HEADS and view.ends(at + len(head)):
        return WAIT
    for length in (3, 2):
        if head[:length] in _SMILEYS and len(head) >= length:
            behind = view.char(at + length)
            if view.ends(at + length):
                return WAIT
            return at + length if not behind or behind.isspace() or behind in ".!?" else NO
    return NO


def _tag(view: View, at: int) -> int:
    """A closing tag such as `</b>`."""
    if view.ends(at + 1):
        return WAIT
    if view.char(at + 1) != "/":
        return NO
    end = view.text.find(">", at, at + LOOK)
    if end > 0:
        return end + 1
    return WAIT if view.ends(at + LOOK) else NO


def _footnote(view: View, at: int) -> int:
    """A footnote mark such as `[12]`."""
    for end in range(at + 1, at + 5):
        if view.ends(end):
            return WAIT
        char = view.char(end)
        if char == "]" and end > at + 1:
            # "[1](address)" is a link and belongs to what follows.
            return WAIT if view.ends(end + 1) else NO if view.char(end + 1) == "(" else end + 1
        if not char.isdigit():
            return NO
    return NO
