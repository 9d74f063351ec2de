"""What TTS gets for a chunk, and how it maps back to the original.

The original is cut into spans; each is said as written, said otherwise, or not said. What is said keeps the order of
the original, so a pair of rising positions for each span is the whole alignment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from .rules import Speak, Way
from .text import EMOJI, GHOST, KIND

Marks = tuple[tuple[int, int], ...]
Piece = tuple[int, str]
"""(index in the original where it ends, what is said for it)"""

_MARKUP = frozenset("*_`~#|<>[]^•\\\n\t\u2028\u2029\u00a0\u202f")
_BULLETS = ("-", "+", ":", ";", "=")
_FIRST_EMOJI = "\u2600"
_INSIDE = ("www.", "://", "  ", " :", " ;", " =")
_KINDS: tuple[tuple[str, str], ...] = (
    ("fence", r"(?:```|~~~)[\s\S]*"),
    ("rule", r"(?:(?<=\n)|\A)[ \t]*(?:[-*_=][ \t]*){3,}(?=\n|\Z)"),
    ("table", r"(?:(?<=\n)|\A)[ \t]*\|[^\n]*"),
    ("heading", r"(?:(?<=\n)|\A)[ \t]*\#{1,6}[ \t]+"),
    ("quote", r"(?:(?<=\n)|\A)[ \t]*>[ \t]*"),
    ("list", r"(?:(?<=\n)|\A)[ \t]*[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?"),
    ("code", r"(?P<ticks>`+)(?P<inside>[^\n]+?)(?P=ticks)"),
    ("link", r"!?\[(?P<label>[^\]\n]*)\](?:\([^)\n]*\)|\[[^\]\n]*\])"),
    (
        "url",
        r"<?(?:https?://(?:www\.)?|www\.)(?P<bare>[^\s<>\"?#*]*[^\s<>\".,;:!?)\]'”’*_/#])/?(?:[?#][^\s<>\"]*[^\s<>\".,;:!?)\]'”’*_])?>?",
    ),
    ("tag", r"</?[a-zA-Z][^<>\n]*>"),
    ("emphasis", r"\*\*\*?|__|~~|(?<![\w\s])[*_](?!\s)|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)"),
    ("smiley", r"(?<!\S)(?:[:;=][-']?[)(DPpOo/|*]|<3|\^\^)(?!\w)"),
    ("entity", r"\\(?=[*_`~#|<>\[\]\\])"),
)


@cache
def _spans() -> re.Pattern[str]:
    """Compiled when the first chunk needs it: most replies are plain, and start-up should not pay."""
    return re.compile("|".join(f"(?P<k_{name}>{pattern})" for name, pattern in _KINDS))


def speak(text: str, ways: Speak, code_example: str) -> tuple[str, Marks]:
    """What is said for `text`, and its alignment: pairs (length said, length of `text`); none if said as written."""
    bare = text.strip()
    if _as_written(bare):
        return bare, ()
    said, before = "", 0
    marks = [(0, 0)]
    for end, piece in _Speaker(text, ways, code_example).pieces(0, len(text)):
        fresh = piece.lstrip() if not said or said[-1] == " " else piece
        if fresh != text[before:end]:
            marks += [(len(said), before), (len(said) + len(fresh), end)]
        said += fresh
        before = end
    said = said.rstrip()
    marks.append((len(said), len(text)))
    return said, tuple(sorted({(min(spoken, len(said)), covered) for spoken, covered in marks}))


def _as_written(text: str) -> bool:
    """Whether nothing in a text is markup, an address or an emoji."""
    if not _MARKUP.isdisjoint(text) or text.startswith(_BULLETS) or any(mark in text for mark in _INSIDE):
        return False
    return text.isascii() or max(text) < _FIRST_EMOJI or not any(KIND[char] == EMOJI for char in text)


class _Speaker:
    """Cuts one text into pieces, and says what each is said as."""

    def __init__(self, text: str, ways: Speak, code_example: str) -> None:
        self._text, self._ways, self._code_example = text, ways, code_example

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """The text in order: words, gaps, and what spans become."""
        at = start
        for match in _spans().finditer(self._text, start, end):
            kind = (match.lastgroup or "")[2:]
            way = self._way(kind)
            if match.start() < at or (way == "verbatim" and kind not in ("code", "fence", "table")):
                continue
            yield from self._words(at, match.start())
            at = match.end()
            if way == "skip":
                yield at, ""
            elif way == "verbatim":
                yield at, match.group()
            else:
                yield from self._span(match, kind)
        yield from self._words(at, end)

    def _way(self, kind: str) -> Way:
        way: Way = "plain" if kind in ("rule", "entity") else getattr(self._ways, _FIELD.get(kind, kind))
        return way

    def _span(self, match: re.Match[str], kind: str) -> Iterator[Piece]:
        """A span made speakable; what it encloses is spoken by the same rules."""
        if kind == "link":
            yield match.start("label"), ""
            yield from self.pieces(*match.span("label"))
        elif kind == "code":
            yield match.start("inside"), ""
            yield from self._words(*match.span("inside"))
        elif kind == "table":
            yield from self._row(match)
        elif kind == "url":
            yield match.start("bare"), ""
            yield match.end("bare"), match["bare"]
        yield match.end(), self._code_example if kind == "fence" else ""

    def _row(self, match: re.Match[str]) -> Iterator[Piece]:
        """A table row as a list; its separator row is silent."""
        spoken = False
        for cell in re.finditer(r"[^|]+", match.group()):
            start, end = match.start() + cell.start(), match.start() + cell.end()
            if cell.group().strip("-: "):
                yield start, ", " if spoken else ""
                inside = cell.group()
                start, end = start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())
                yield start, ""
                yield from self.pieces(start, end)
                spoken = True

    def _words(self, start: int, end: int) -> Iterator[Piece]:
        """Plain text a word or a gap at a time, emoji set apart; every gap is one space."""
        for match in re.finditer(r"\s+|\S+", self._text[start:end]):
            word, at = match.group(), start + match.end()
            if word.isspace():
                yield at, " "
            elif self._ways.emoji == "verbatim" or word.isascii():
                yield at, word
            else:
                yield from _without_emoji(word, start + match.start())


_FIELD = {"smiley": "emoji"}
"""Kinds whose way of speaking goes by another name."""


def _without_emoji(word: str, start: int) -> Iterator[Piece]:
    """A word's runs of text, and its emoji, with their joiners and selectors, as silence."""
    in_emoji, run = False, ""
    for at, char in enumerate(word, start):
        now = KIND[char] == EMOJI or (in_emoji and KIND[char] == GHOST)
        if now != in_emoji and at > start:
            yield at, "" if in_emoji else run
            run = ""
        in_emoji, run = now, run + char
    yield start + len(word), "" if in_emoji else run
