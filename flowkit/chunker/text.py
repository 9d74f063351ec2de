"""Characters: what each one is to the chunker, and how large a piece of text is.

Every decision of the chunker is made on characters, never on the pieces in which they came, so this table is
all it knows about its input. It fills itself as characters turn up: nothing is computed at start-up.
"""

from __future__ import annotations

import re
import unicodedata

LETTER, SPACE, DIGIT, IDEOGRAPH, GHOST, SIGN, EMOJI, LINE, STOP, PAUSE, OPEN, CLOSE = range(12)
"""What a character is to the chunker; plain numbers, since every character is asked for its own. Up to SIGN they ask nothing.

LETTER and DIGIT are what they say. SPACE: any but a newline. IDEOGRAPH: a letter of a script that is written without
spaces, and Hangul: a token of its own. GHOST: combining marks, joiners, variation selectors, direction marks: part of what
stands before. SIGN: any mark without a role. EMOJI. LINE: a newline. STOP may end a sentence, PAUSE a clause. OPEN may
begin something that is not to be cut: brackets, quotation marks with a direction, code, tags; CLOSE ends it.
"""

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

LONGEST_EMOJI = 32
_LINES = "\n\u2028\u2029"
_IDEOGRAPHS = (
    (0x1100, 0x11FF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x3130, 0x318F), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip
_EMOJI = ((0x2600, 0x27BF), (0x2B05, 0x2B55), (0x1F000, 0x1FAFF))


class _Kinds(dict[str, int]):
    def __missing__(self, char: str) -> int:
        kind = self[char] = _classify(char)
        return kind


def _classify(char: str) -> int:
    for kind, members in _NAMED:
        if char in members:
            return kind
    code = ord(char)
    if any(low <= code <= high for low, high in _IDEOGRAPHS):
        return IDEOGRAPH
    if any(low <= code <= high for low, high in _EMOJI):
        return EMOJI
    if char.isspace():
        return SPACE
    category = unicodedata.category(char)
    if category in ("Mn", "Mc", "Me", "Cf"):
        return GHOST
    if category == "Nd":
        return DIGIT
    return LETTER if category[0] in "LN" else SIGN


_NAMED = (
    (LINE, _LINES),
    (STOP, STOPS),
    (PAUSE, PAUSES),
    (CLOSE, "".join(PAIRS.values()).replace("«", "").replace("»", "")),
    (OPEN, "".join(PAIRS) + SPANS),
)
KIND = _Kinds()

_SHARES = {LETTER: 6, DIGIT: 3, GHOST: 16, SPACE: 16, LINE: 16}
SHARE = [_SHARES.get(kind, 1) for kind in range(12)]
"""Characters of a kind to a token: six letters, three digits, or one mark or ideograph, near what tokenisers do.

Spaces and joiners cost nothing in the usual run, but a megabyte of them is not nothing: every sixteenth counts.
"""
DUE = [15 if share == 16 else 0 for share in SHARE]
"""Which character of a share is the one that counts."""


word_at = re.compile(" ?[a-zA-ZÀ-ÖØ-öø-ÿЀ-ҁҊ-ӿ]{1,24}").match
"""The words most texts are made of, with the space before, up to 24 letters at a time: to be taken as one, which is faster."""
WORD_SIZE = 4
"""The most tokens that one has."""


def measure(text: str) -> int:
    """The estimated size of a piece of text in tokens, known from the text alone."""
    size, run, before, at, length = 0, 0, SIGN, 0, len(text)
    while at < length:
        kind = KIND[text[at]]
        if kind <= SPACE and kind != before and (word := word_at(text, at)):
            run = word.end() - at - 1 - (kind == SPACE)
            at, size, before = word.end(), size + run // 6 + 1, LETTER
            continue
        run = run + 1 if kind == before else 0
        size += run % SHARE[kind] == DUE[kind]
        before = kind
        at = at + 1 if kind != EMOJI else emoji_end(text, at)
    return size


def emoji_end(text: str, at: int) -> int:
    """Where the emoji ends that begins at `at`: a flag is two characters, a family seven."""
    if at + 1 < len(text) and not ("\U0001f1e6" <= text[at + 1] <= "\U0001f3ff" or KIND[text[at + 1]] == GHOST):
        return at + 1  # neither half a flag nor a colour of skin follows, nor what joins
    from ..words import character_end  # few replies hold any, and it takes longer to import than all else

    return character_end(text, at, LONGEST_EMOJI)


def speakable(text: str) -> bool:
    """Whether a text has something to say: a letter or digit that is not just a list marker."""
    bare = text.strip(" \t\r\n*_>#-+•|")
    if len(bare) <= 4 and bare.endswith((".", ")")) and "\n" not in text.strip():
        return not bare.strip("().").isalnum()
    return any(KIND[char] in (LETTER, DIGIT, IDEOGRAPH) for char in bare)
