"""Words in every script: everything that counts, compares or times words uses this module.

Word boundaries follow Unicode (UAX 29, by the package `regex`). Chinese, Japanese, Thai and similar scripts have no
spaces between words, and no dictionary is used here. In these, each character with its marks stands alone and counts as
a part of a word.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import regex


class WritingSystem(NamedTuple):
    """How fast a script is spoken.

    Args:
        ranges: its code points, as pairs of the first and the last.
        per_s: characters spoken in a second.
        per_word: characters in a word, for scripts without spaces between words; else 0.
    """

    ranges: tuple[tuple[int, int], ...]
    per_s: float
    per_word: int = 0


USUAL = WritingSystem((), 15)
"""Scripts of letters with spaces and punctuation between words: Latin, Greek, Cyrillic, the scripts of India."""
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
    # Thai 5). A Thai syllable is written with two or three characters, and a kanji is read as about two morae.
    WritingSystem(_HAN, 5, 2),  # with its wide punctuation, at which voices pause
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
"""One kind of apostrophe for all, and another symbol for flags. To find the boundary between two flags takes time that
grows with the number of flags before it. Neither is part of a word."""
_SEGMENTS = regex.compile(r"(?V1w)\b")
_CLUSTER = regex.compile(r"\X")
_CHARACTERS = regex.compile(
    r"[\u0e40-\u0e44\u0ec0-\u0ec4]?\X[\u0e30\u0e32\u0e45\u0e46\u0eb0\u0eb2\u0ec6ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々]*"
)
"""Grapheme clusters. Some Thai, Lao and kana letters belong to the letter before or after, and stay with it."""
_WORDLIKE = regex.compile(r"[\p{L}\p{N}]")
_BEHIND = regex.compile(r"[^\s\p{L}\p{N}\p{Ps}\p{Pi}]*")
_NOT_COMPARED = regex.compile(r"[\p{Cf}\u0307\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
"""Joiners and direction marks, the dot that case folding leaves of İ, and Hebrew and Arabic vowel and stretching marks."""
_HYPHEN = regex.compile(r"(?<=\p{L})\p{Pd}(?=\p{L})")
"""Some write `uhhuh` for `uh-huh`."""
_AHEAD = 4
"""How many words ahead a spoken word is searched for."""


class Word(NamedTuple):
    """A word of a text, or a character of a script without spaces.

    Args:
        start, end: its indexes in the text.
        past: the index after the punctuation that follows it and has no sound.
        key: what it is compared by: composed (NFKC) and without case.
        size: what it counts as, in sixtieths of a word. Sixtieths, so that halves, thirds, quarters and fifths are
            whole numbers.
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
    """Whether there is anything to say in a text. Emoji and punctuation alone are nothing."""
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
    """The script that determines how this character is spoken."""
    at = bisect_right(_LOWS, ord(char)) - 1
    return _PLACES[at][2] if at >= 0 and ord(char) <= _PLACES[at][1] else USUAL


def character_ends(text: str) -> list[int]:
    """The indexes after each character as a reader sees it: a letter with its marks, a flag, a composed emoji."""
    return [cluster.end() for cluster in _CLUSTER.finditer(text)]


def character_end(text: str, at: int, most: int) -> int:
    """The index after such a character that begins at `at`. At most `most` characters are looked at."""
    cluster = _CLUSTER.match(text[at : at + most])  # a slice, because the pattern would look back over all flags before
    return at + cluster.end() if cluster else at


def folded(text: str) -> str:
    """The text as it is compared: composed, without case, with one kind of apostrophe.

    Marks that are not always written are left out.
    """
    # Case folding may decompose characters, so the text is composed again.
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    return _NOT_COMPARED.sub("", unicodedata.normalize("NFKC", plain))


def count(found: Iterable[Word]) -> int:
    """How many words these are, rounded up. In scripts without spaces this is an estimate."""
    return -(-sum(word.size for word in found) // 60)


class Phrases:
    """Words and phrases to search for.

    Args:
        texts: one word or phrase each. Case, apostrophes, hyphens and how accents are composed do not matter.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        written = [form for text in texts for form in (text, _HYPHEN.sub("", text))]
        keys = {tuple(word.key for word in words(text)) for text in written} - {()}
        self._phrases = sorted(keys, key=len, reverse=True)

    def without(self, found: Sequence[Word], *, incomplete: bool = False) -> list[Word]:
        """The words that are not part of any phrase. Of several phrases that match at a word, the longest is taken.

        Args:
            found: the words of a text.
            incomplete: whether more words may follow. Then the last words do not count if they may begin a phrase.
        """
        keys, rest, at = [word.key for word in found], list[Word](), 0
        while at < len(keys):
            left = tuple(keys[at:])
            if incomplete and any(phrase[: len(left)] == left for phrase in self._phrases):
                break
            size = next((len(phrase) for phrase in self._phrases if tuple(keys[at : at + len(phrase)]) == phrase), 0)
            rest += found[at : at + 1] if not size else []
            at += size or 1
        return rest


# -- words in time -----------------------------------------------------------------------------------------------------


def speaking_s(text: str) -> float:
    """How long it usually takes to say a text, in seconds."""
    # ASCII belongs to one script alone, so no character of it needs a look-up.
    return len(text) / USUAL.per_s if text.isascii() else sum(1 / script_of(char).per_s for char in text)


def sounded(text: str, share: float) -> int:
    """The length of the beginning of `text` that was heard after `share` (0 to 1) of its time.

    Only whole words count, because a listener who heard half a word did not hear it. Punctuation after a word goes with
    it.
    """
    if share >= 1:
        return len(text)
    passed_s, at, end = share * speaking_s(text), 0, 0
    for word in words(text):
        passed_s -= speaking_s(text[at : word.end])
        # With a tolerance, because the sum of rounded times may end just below zero at the last word heard.
        if passed_s < -1e-9:
            break
        at, end = word.end, word.past
    return end


def spoken_until(text: str, said: Iterable[str]) -> int:
    """The length of the beginning of `text` that was spoken, given the words `said` that a voice reports.

    The voice may spell words in another way than the text. Words that are not found are skipped. If none is found, the
    text ends after as many words as the voice reported.
    """
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
        at = min(unknown, len(found))  # no word of the voice was found in the text, so they are only counted
    return found[at - 1].past if at else 0


def _find(keys: list[str], wanted: list[str], start: int) -> int:
    if wanted:
        # Only close by: a common word that is found far ahead would skip everything between.
        for at in range(start, min(start + _AHEAD, len(keys))):
            if keys[at : at + len(wanted)] == wanted:
                return at
    return -1
