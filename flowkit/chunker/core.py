"""The chunker: characters in, chunks out."""

from __future__ import annotations

import re

from .chunk import Chunk, Reason
from .rules import Rules

_UNIT = re.compile(r"\s+|\w{1,6}|[^\w\s]")


class Chunker:
    """Cuts a stream of text into speakable chunks; decides on characters, so the stream's fragmentation does not matter."""

    def __init__(self, rules: Rules = Rules()) -> None:
        self._rules = rules
        self.reset()

    def reset(self) -> None:
        self._text = ""
        self._first = True

    def pending(self) -> int:
        return len(self._text) if self._text.strip() else 0

    def feed(self, text: str) -> list[Chunk]:
        self._text += text
        return self._scan(final=False)

    def flush(self) -> list[Chunk]:
        chunks = self._scan(final=True)
        if self._text.strip():
            chunks.append(self._cut(len(self._text), Reason.END))
        self.reset()
        return chunks

    def stall(self) -> list[Chunk]:
        space = self._text.rfind(" ")
        return [self._cut(space, Reason.STALL)] if self._text[: max(space, 0)].strip() else []

    def likely(self) -> Chunk | None:
        return None

    def _scan(self, final: bool) -> list[Chunk]:
        chunks = []
        while (found := self._find(final)) is not None:
            chunks.append(self._cut(*found))
        return chunks

    def _find(self, final: bool) -> tuple[int, Reason] | None:
        size, space = 0, 0
        for unit in _UNIT.finditer(self._text):
            piece, end = unit.group(), unit.end()
            if end == len(self._text):
                return None
            if piece.isspace():
                space = unit.start() or space
                continue
            size += 1
            if size > self._rules.max_tokens:
                return (space or unit.start()), Reason.MAX_TOKENS
            if self._text[end].isspace() and piece in ".!?":
                return end, Reason.SENTENCE
            if piece in "。！？":
                return end, Reason.SENTENCE
            least = self._rules.first.min_tokens if self._first else self._rules.comma_after
            if self._rules.mode == "clause" and piece in ",;:" and size >= least and self._text[end].isspace():
                return end, Reason.COMMA if piece == "," else Reason.CLAUSE
        return None

    def _cut(self, at: int, reason: Reason) -> Chunk:
        text, self._text = self._text[:at], self._text[at:]
        self._first = False
        size = sum(not unit.isspace() for unit in _UNIT.findall(text))
        return Chunk(text, text.strip(), max(1, size), reason)
