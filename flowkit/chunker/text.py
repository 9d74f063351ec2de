"""Characters: what each one is to the chunker, and how large a piece of text is.

The chunker decides by characters alone, never by the pieces in which they came. The table fills itself as characters
occur, so nothing is computed at start-up.
"""

from __future__ import annotations

import re
import unicodedata

LETTER, SPACE, DIGIT, IDEOGRAPH, GHOST, SIGN, EMOJI, LINE, STOP, PAUSE, OPEN, CLOSE = range(12)
"""What a character is to the chunker. These are plain numbers, because the kind of every character is looked up. Kinds
up to SIGN are not marks.

LETTER and DIGIT are what they say. SPACE: any but a newline. IDEOGRAPH: a letter of a script that is written without
spaces, and Hangul; one token each. GHOST: combining marks, joiners, variation selectors, direction marks; part of the
character before. SIGN: any mark without a role. EMOJI. LINE: a newline. STOP may end a sentence, PAUSE a clause. OPEN
may begin something that is not cut: brackets, quotation marks with a direction, code, tags. CLOSE ends it.
"""

WIDE_STOPS = "。！？｡．؟۔।॥።፧။។։᠃…‥"
"""Terminators that need neither a space nor an upper-case letter after them (the ellipsis has its own rule)."""
STOPS = ".!?" + WIDE_STOPS
DOTS = ".…‥"
PAUSES = ",;:—–-،؛、，；：·፣፤"
WIDE_PAUSES = "،؛、，；：፣፤"
PAIRS = {
    "(": ")", "[": "]", "{": "}", "（": "）", "「": "」", "『": "』", "【": "】", "〈": "〉", "《": "》", "«": "»", "»": "«",
}  # fmt: skip
QUOTES = "\"'”’“‘»«›‹」』）】〉》〟)]}＂"
"""What may close at the end of a sentence. It includes an opening form, because German and straight quotation marks use
it to close."""
SPANS = "`<[{~"
"""What may open a span that `spans` knows."""

LONGEST_CHARACTER = 32
"""Code points that a reader may see as one character: a letter with its marks, an emoji of several. More are cut apart.
UAX 15 allows 30 marks ("stream-safe text")."""
_LINES = "\n\u2028\u2029"
_IDEOGRAPHS = (
    (0x1100, 0x11FF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x3130, 0x318F), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip
# No character before it combines, so most texts need no further look.
_FIRST_COMBINING = "\u0300"
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
    # Whether a guillemet closes depends on the language, so it is only among what opens.
    (CLOSE, "".join(PAIRS.values()).replace("«", "").replace("»", "")),
    (OPEN, "".join(PAIRS) + SPANS),
)
KIND = _Kinds()

_SHARES = {LETTER: 6, DIGIT: 3, GHOST: 16, SPACE: 16, LINE: 16}
SHARE = [_SHARES.get(kind, 1) for kind in range(12)]
"""How many characters of a kind make a token: six letters, three digits, or one mark or ideograph, close to what
tokenisers do.

Spaces and joiners usually cost nothing. But a megabyte of them must not be free, so every sixteenth counts.
"""
DUE = [15 if share == 16 else 0 for share in SHARE]
"""Which character of a share is the one that counts."""


word_at = re.compile(" ?[a-zA-ZÀ-ÖØ-öø-ÿЀ-ҁҊ-ӿ]{1,24}").match
"""The words that most texts consist of, with the space before, up to 24 letters at a time. Reading one at once is
faster."""
WORD_SIZE = 4
"""The most tokens that such a word has."""


def measure(text: str) -> int:
    """The estimated size of a piece of text in tokens, from the text alone."""
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
    """Where the emoji that begins at `at` ends: a flag has two characters, a family seven."""
    if at + 1 < len(text) and not ("\U0001f1e6" <= text[at + 1] <= "\U0001f3ff" or KIND[text[at + 1]] == GHOST):
        return at + 1  # neither half a flag nor a skin tone nor a joiner follows
    # imported late: few replies hold any, and it takes longer to import than everything else
    from ..words import character_end

    return character_end(text, at, LONGEST_CHARACTER)


def character_after(text: str, end: int) -> int:
    """The end of the character that a cut at `end` would part; `end` if it parts none."""
    if not 0 < end < len(text) or max(text[end - 1], text[end]) < _FIRST_COMBINING:
        return end
    from ..words import character_end

    return character_end(text, end - 1, LONGEST_CHARACTER)


def speakable(text: str) -> bool:
    """Whether a text has something to speak: a letter or digit that is not just a list marker."""
    bare = text.strip(" \t\r\n*_>#-+•|")
    if len(bare) <= 4 and bare.endswith((".", ")")) and "\n" not in text.strip():
        return not bare.strip("().").isalnum()
    return any(KIND[char] in (LETTER, DIGIT, IDEOGRAPH) for char in bare)
