"""Characters: what each one is to the chunker, and how large a piece of text is.

Every decision of the chunker is made on characters, never on the pieces in which they came, so this table is
all it knows about its input. It fills itself as characters turn up: nothing is computed at start-up.
"""

from __future__ import annotations

import unicodedata
from enum import IntEnum


class Kind(IntEnum):
    """What a character is to the chunker. Those up to SPACE carry no decision of their own."""

    LETTER = 0
    DIGIT = 1
    IDEOGRAPH = 2
    """A letter of a script that is written without spaces (and Hangul): a token of its own."""
    GHOST = 3
    """Combining marks, joiners, variation selectors, direction marks: part of what stands before."""
    SIGN = 4
    """Any other mark or symbol."""
    SPACE = 5
    EMOJI = 6
    LINE = 7
    STOP = 8
    """May end a sentence."""
    PAUSE = 9
    """May end a clause."""
    OPEN = 10
    """May open something that is not to be cut: brackets, quotation marks with a direction, code, tags."""
    CLOSE = 11


WIDE_STOPS = "。！？｡．؟۔।॥።፧။។։᠃…‥"
"""Terminators that need neither a space nor an upper-case letter behind them (the ellipsis has a rule of its own)."""
STOPS = ".!?" + WIDE_STOPS
DOTS = ".…‥"
PAUSES = ",;:—–-،؛、，；：·፣፤"
WIDE_PAUSES = "،؛、，；：፣፤"
PAIRS = {
    "(": ")", "[": "]", "{": "}", "（": "）", "「": "」", "『": "』", "【": "】", "〈": "〉", "《": "》", "«": "»", "»": "«",
}  # fmt: skip
QUOTES = "\"'”’“‘»«›‹」』）】〉》〟)]}＂"
"""What may close around a sentence's end; that an opening form is among them is German and straight typography."""
SPANS = "`<[{~"
"""What may open a span that `spans` knows by heart."""

ZWJ = "\u200d"
_LINES = "\n\u2028\u2029"
_IDEOGRAPHS = (
    (0x1100, 0x11FF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x3130, 0x318F), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip
_EMOJI = ((0x2600, 0x27BF), (0x2B05, 0x2B55), (0x1F000, 0x1FAFF))


class _Kinds(dict[str, Kind]):
    def __missing__(self, char: str) -> Kind:
        kind = self[char] = _classify(char)
        return kind


def _classify(char: str) -> Kind:
    for kind, members in _NAMED:
        if char in members:
            return kind
    code = ord(char)
    if any(low <= code <= high for low, high in _IDEOGRAPHS):
        return Kind.IDEOGRAPH
    if any(low <= code <= high for low, high in _EMOJI):
        return Kind.EMOJI
    if char.isspace():
        return Kind.SPACE
    category = unicodedata.category(char)
    if category in ("Mn", "Mc", "Me", "Cf"):
        return Kind.GHOST
    if category == "Nd":
        return Kind.DIGIT
    return Kind.LETTER if category[0] in "LN" else Kind.SIGN


_NAMED = (
    (Kind.LINE, _LINES),
    (Kind.STOP, STOPS),
    (Kind.PAUSE, PAUSES),
    (Kind.CLOSE, "".join(PAIRS.values()).replace("«", "").replace("»", "")),
    (Kind.OPEN, "".join(PAIRS) + SPANS),
)
KIND = _Kinds()

_SHARES = {Kind.LETTER: 6, Kind.DIGIT: 3, Kind.GHOST: 16, Kind.SPACE: 16, Kind.LINE: 16}
SHARE = [_SHARES.get(kind, 1) for kind in Kind]
"""Characters of a kind to a token: six letters, three digits, or one mark or ideograph, near what tokenisers do.

Spaces and joiners cost nothing in the usual run, but a megabyte of them is not nothing: every sixteenth counts.
"""
DUE = [15 if share == 16 else 0 for share in SHARE]
"""Which character of a share is the one that counts."""


def measure(text: str) -> int:
    """The estimated size of a piece of text in tokens, known from the text alone."""
    size, run, before = 0, 0, Kind.SIGN
    for char in text:
        kind = KIND[char]
        run = run + 1 if kind is before else 0
        size += run % SHARE[kind] == DUE[kind]
        before = kind
    return size
