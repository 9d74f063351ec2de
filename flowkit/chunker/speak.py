"""What TTS gets for a chunk, and how it maps back to the original.

The original is split into spans. Each is spoken as written, spoken in another form, or not spoken. The spoken form
keeps the order of the original, so one pair of rising positions per span is the whole alignment.
"""

from __future__ import annotations

from .rules import SpeakRules
from .text import EMOJI, KIND

Marks = tuple[tuple[int, int], ...]

_MARKUP = frozenset("*_`~#|<>[]^•\\\n\t\u2028\u2029\u00a0\u202f")
_BULLETS = ("-", "+", ":", ";", "=")
_FIRST_EMOJI = "\u2600"
_INSIDE = ("www.", "://", "  ", " :", " ;", " =")


def speak(text: str, ways: SpeakRules, code_example: str) -> tuple[str, Marks]:
    """The spoken form of `text` and its alignment: pairs (length spoken, length of `text`); none if spoken as
    written."""
    bare = text.strip()
    if _as_written(bare):
        return bare, ()
    said, before = "", 0
    marks = [(0, 0)]
    # Most replies have no markup, and need not wait for its patterns to be compiled.
    from .markup import Speaker

    for end, piece in Speaker(text, ways, code_example).pieces(0, len(text)):
        fresh = piece.lstrip() if not said or said[-1] == " " else piece
        if fresh != text[before:end]:
            marks += [(len(said), before), (len(said) + len(fresh), end)]
        said += fresh
        before = end
    said = said.rstrip()
    length = len(said)
    marks.append((length, len(text)))
    return said, tuple(sorted({(spoken if spoken < length else length, covered) for spoken, covered in marks}))


def _as_written(text: str) -> bool:
    """Whether a text contains no markup, address or emoji."""
    if not _MARKUP.isdisjoint(text) or text.startswith(_BULLETS):
        return False
    for mark in _INSIDE:  # not any(), which takes twice as long: every chunk comes through here
        if mark in text:
            return False
    return text.isascii() or max(text) < _FIRST_EMOJI or not any(KIND[char] == EMOJI for char in text)
