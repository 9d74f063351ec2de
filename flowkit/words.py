"""Words, in every script: the one account of them, for whatever counts, compares or times words.

Where words end is Unicode's to say (UAX 29, by the package `regex`). Chinese, Japanese, Thai and their like put no spaces
between words, and no dictionary is asked here: there each character with its marks stands alone, and counts as a part of a word.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import regex


class WritingSystem(NamedTuple):
    """How a script is spoken: characters a second, and, where no spaces stand between words, characters a word."""

    ranges: tuple[tuple[int, int], ...]
    per_s: float
    per_word: int = 0


USUAL = WritingSystem((), 15)
"""Letters and the spaces and marks between them: Latin, Greek, Cyrillic, the scripts of India."""
_HAN = (
    (0x2E80, 0x2FDF),
    (0x3000, 0x303F),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20),
    (0x20000, 0x3FFFF),
)
SCRIPTS = (
    # A little below the syllables a second that Coupé et al. measured (Science Advances 2019: Japanese about 8, Mandarin 6,
    # Thai 5); a Thai syllable is written with two or three characters, and a kanji is read with about two morae.
    WritingSystem(_HAN, 5, 2),  # and its wide marks, at which voices pause
    WritingSystem(((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F)), 7.5, 3),  # kana
    WritingSystem(((0x3100, 0x312F), (0xA000, 0xA4CF)), 5, 2),  # bopomofo, Yi
    WritingSystem(((0x0E00, 0x0EFF),), 12.5, 4),  # Thai, Lao
    WritingSystem(((0x1000, 0x109F), (0x1780, 0x17FF), (0xAA60, 0xAA7F)), 15, 5),  # Burmese, Khmer
    WritingSystem(((0xAC00, 0xD7A3), (0x1200, 0x139F)), 6),  # Hangul, Ethiopic: a character is a syllable
    WritingSystem(((0x0590, 0x08FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFC)), 12),  # Hebrew, Arabic: few vowels are written
)
_PLACES = sorted((low, high, script) for script in SCRIPTS for low, high in script.ranges)
_LOWS = [low for low, _, _ in _PLACES]

_APOSTROPHES = dict.fromkeys(map(ord, "’‘‛ʼʹ′＇`´"), "'")
_PLAIN = _APOSTROPHES | dict.fromkeys(range(0x1F1E6, 0x1F200), "\u2600")
"""Flags are no words, but which half of one a character is takes as long to find out as many stand before it."""
_SEGMENTS = regex.compile(r"(?V1w)\b")
_CLUSTER = regex.compile(r"\X")
_CHARACTERS = regex.compile(
    r"[\u0e40-\u0e44\u0ec0-\u0ec4]?\X[\u0e30\u0e32\u0e45\u0e46\u0eb0\u0eb2\u0ec6ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々]*"
)
"""Clusters; what Thai, Lao and kana write as letters, but belongs to the one before or behind, goes with it."""
_WORDLIKE = regex.compile(r"[\p{L}\p{N}]")
_BEHIND = regex.compile(r"[^\s\p{L}\p{N}\p{Ps}\p{Pi}]*")
_NOT_COMPARED = regex.compile(r"[\p{Cf}\u0307\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
"""Joiners and direction marks; the dot that case folding leaves of İ; the vowels and the stretching of Hebrew and Arabic."""
_AHEAD = 4
"""How many words further on one is looked for that a voice says it has spoken."""


class Word(NamedTuple):
    """A word of a text, or a character of a script without spaces.

    Args:
        start, end: its indices.
        past: where the marks that follow it end; they have no sound of their own.
        key: what it is compared by: composed (NFKC), without case.
        size: what it counts as, in sixtieths of a word.
    """

    start: int
    end: int
    past: int
    key: str
    size: int = 60


def words(text: str) -> list[Word]:
    """The words of a text, in order."""
    spans = list(_spans(text))
    limits = [*(start for start, _, _ in spans[1:]), len(text)]
    found = list[Word]()
    for (start, end, size), limit in zip(spans, limits, strict=False):
        behind = _BEHIND.match(text, end, limit)
        found.append(Word(start, end, behind.end() if behind else end, folded(text[start:end]), size))
    return found


def has_words(text: str) -> bool:
    """Whether a text says anything: an emoji or marks alone do not."""
    return _WORDLIKE.search(text) is not None


def _spans(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, size) of each word."""
    start = 0
    for spaced, pieces in groupby(_SEGMENTS.split(text.translate(_PLAIN)), _is_spaced):
        for piece in pieces if spaced else ["".join(pieces)]:
            end = start + len(piece)
            if not spaced:
                yield from _characters(text, start, end)
            elif _WORDLIKE.search(piece):
                yield start, end, 60
            start = end


def _is_spaced(piece: str) -> bool:
    return not (piece and script_of(piece[0]).per_word and _WORDLIKE.search(piece))


def _characters(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    for cluster in _CHARACTERS.finditer(text, start, end):
        per_word = script_of(cluster.group()[0]).per_word or 1
        yield cluster.start(), cluster.end(), 60 * len(cluster.group()) // per_word


def script_of(char: str) -> WritingSystem:
    """The script that a character is spoken by."""
    at = bisect_right(_LOWS, ord(char)) - 1
    return _PLACES[at][2] if at >= 0 and ord(char) <= _PLACES[at][1] else USUAL


def character_ends(text: str) -> list[int]:
    """Where the characters end that a reader sees as one: a letter with its marks, a flag, an emoji of several."""
    return [cluster.end() for cluster in _CLUSTER.finditer(text)]


def character_end(text: str, at: int, most: int) -> int:
    """Where such a character ends that begins at `at`; at most `most` further on."""
    cluster = _CLUSTER.match(text[at : at + most])  # it would look back as far as flags go
    return at + cluster.end() if cluster else at


def folded(text: str) -> str:
    """What a text is compared by: composed, without case, with one kind of apostrophe, without what is not always written."""
    # Folding may undo the composition, so it is composed again.
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    return _NOT_COMPARED.sub("", unicodedata.normalize("NFKC", plain))


def count(found: Iterable[Word]) -> int:
    """How many words there are; where no spaces stand between them that is an estimate, rounded up."""
    return -(-sum(word.size for word in found) // 60)


class Phrases:
    """Words, and words in a row, to be looked for.

    Args:
        texts: one phrase each. Case, apostrophes, hyphens and how accents are composed do not count.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        keys = {tuple(word.key for word in words(text)) for text in texts} - {()}
        self._phrases = sorted(keys, key=len, reverse=True)

    def without(self, found: Sequence[Word], *, going_on: bool = False) -> list[Word]:
        """The words that belong to none of the phrases; of several that fit the longest is taken. `going_on`: more may follow, so
        the last words may begin a phrase, and do not count until that is known."""
        keys, rest, at = [word.key for word in found], list[Word](), 0
        while at < len(keys):
            left = tuple(keys[at:])
            if going_on and any(phrase[: len(left)] == left for phrase in self._phrases):
                break
            size = next((len(phrase) for phrase in self._phrases if tuple(keys[at : at + len(phrase)]) == phrase), 0)
            rest += found[at : at + 1] if not size else []
            at += size or 1
        return rest


# -- words in time -----------------------------------------------------------------------------------------------------


def speaking_s(text: str) -> float:
    """How long a text usually takes to say, in seconds."""
    return len(text) / USUAL.per_s if text.isascii() else sum(1 / script_of(char).per_s for char in text)


def sounded(text: str, share: float) -> int:
    """The length of the beginning of `text` whose words have sounded when `share` (0 to 1) of its time has passed. Only whole words
    count, a listener who heard half a word did not hear it; the marks behind one go with it."""
    if share >= 1:
        return len(text)
    passed_s, at, end = share * speaking_s(text), 0, 0
    for word in words(text):
        passed_s -= speaking_s(text[at : word.end])
        if passed_s < -1e-9:
            break
        at, end = word.end, word.past
    return end


def spoken_until(text: str, said: Iterable[str]) -> int:
    """The length of the beginning of `text` that a voice has said when its words, in its own spelling, were `said`."""
    found = words(text)
    keys = [word.key for word in found]
    at, unknown, known = 0, 0, False
    for one in said:
        wanted = [word.key for word in words(one)]
        place = _find(keys, wanted, at)
        if place >= 0:
            at, known = place + len(wanted), True
        else:
            unknown += bool(wanted)
    if not known:
        at = min(unknown, len(found))  # it spells everything in another way: its words are counted
    return found[at - 1].past if at else 0


def _find(keys: list[str], wanted: list[str], start: int) -> int:
    if wanted:
        for at in range(start, min(start + _AHEAD, len(keys))):
            if keys[at : at + len(wanted)] == wanted:
                return at
    return -1
