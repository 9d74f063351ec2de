"""What is spoken for markup, addresses and emoji, piece by piece.

Imported with the first chunk that has any. Most replies are plain, and should not pay for these patterns when they
start.
"""

from __future__ import annotations

import re

from .rules import SpeakRules, Way
from .text import EMOJI, GHOST, KIND, emoji_end
from .value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Piece = tuple[int, str]
"""(index in the original where it ends, what is spoken for it)"""

_KINDS: tuple[tuple[str, str], ...] = (
    ("fence", r"(?:```|~~~)[\s\S]*"),
    # Before lists and emphasis, because `- - -` and `***` begin like these.
    ("rule", r"(?:(?<=\n)|\A)[ \t]*(?:[-*_=][ \t]*){3,}(?=\n|\Z)"),
    ("table", r"(?:(?<=\n)|\A)[ \t]*\|[^\n]*"),
    ("heading", r"(?:(?<=\n)|\A)[ \t]*\#{1,6}[ \t]+"),
    ("quote", r"(?:(?<=\n)|\A)[ \t]*>[ \t]*"),
    ("list", r"(?:(?<=\n)|\A)[ \t]*[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?"),
    # After fences, which begin with the same mark.
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

_FIRST = r"(?=[\s`~|#>+•!\[<hw*_:;=^\\-])"
"""What spans begin with. At most characters one look is enough."""
_spans = re.compile(f"{_FIRST}(?:{'|'.join(f'(?P<k_{name}>{pattern})' for name, pattern in _KINDS)})").finditer
_runs = re.compile(r"\s+|\S+(?: \S+)*").finditer
"""Gaps, and words with one space between them, which are spoken as written."""
_words = re.compile(r"\s+|\S+").finditer


class Speaker:
    """Splits one text into pieces, each with its spoken form."""

    def __init__(self, text: str, ways: SpeakRules, code_example: str) -> None:
        self._text, self._ways, self._code_example = text, ways, code_example

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """The text in order: words, gaps, and the spoken forms of spans."""
        at = start
        for match in _spans(self._text, start, end):
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
        """A span made speakable. Its content is spoken by the same rules."""
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
        """Plain text, words and gaps in turn, with emoji separate; every gap becomes one space."""
        text = self._text[start:end]
        # ASCII words hold no emoji, so a run of them is taken at once.
        for match in (_runs if text.isascii() else _words)(text):
            word, at = match.group(), start + match.end()
            if word.isspace():
                yield at, " "
            elif self._ways.emoji == "verbatim" or word.isascii():
                yield at, word
            else:
                yield from _without_emoji(word, start + match.start())


_FIELD = {"smiley": "emoji"}
"""Kinds that share the setting of another kind."""


def _without_emoji(word: str, start: int) -> Iterator[Piece]:
    """The text of a word, and its emoji, with their joiners and selectors, as silence."""
    in_emoji, run, past = False, "", start
    for at, char in enumerate(word, start):
        if KIND[char] == EMOJI and at >= past:
            past = start + emoji_end(word, at - start)
        now = at < past or (in_emoji and KIND[char] == GHOST)
        if now != in_emoji and at > start:
            yield at, "" if in_emoji else run
            run = ""
        in_emoji, run = now, run + char
    yield start + len(word), "" if in_emoji else run
