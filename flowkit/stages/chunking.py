"""The buffer between LLM and TTS: tokens in, speakable clauses out. The cutting itself is ``flowkit.chunker``'s.

What waits inside is the text of one unfinished clause, which ``max_tokens`` bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.chunker import Chunk, Chunker, Rules
from flowkit.messages import Clause, EndOfReply, Message, Timer, Token
from flowkit.stages.base import NOTHING, Actions, Emit, SetTimer, Stage

_STALL = "flush_after"


class Mode(StrEnum):
    """Where clauses may end."""

    CLAUSE = "clause"
    SENTENCE = "sentence"
    REPLY = "reply"
    """Wait for the whole reply: the first of the five mistakes, kept to show what it costs."""


@dataclass(slots=True)
class ChunkingState:
    """`chunker` holds the unfinished clause; `clauses` were cut so far; `whole` is the reply's text in mode ``reply``."""

    chunker: Chunker
    clauses: int = 0
    whole: str = ""


class Chunking(Stage[ChunkingState]):
    """Tokens -> clauses."""

    kind = "chunker"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"tokens": ("tokens",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses"}
    replying = True

    class Options(opt.Options):
        mode: Mode = Mode.CLAUSE
        """`clause`: sentences, and clauses from a minimum on; `sentence`: sentences only; `reply`: nothing until the end."""
        max_tokens: int = Field(30, ge=1, le=1000)
        """A clause is cut at this size at the latest (estimated tokens)."""
        flush_after: opt.Duration = opt.us("600ms")
        """If no token comes for this long, what is speakable goes out."""

    options: Options

    def fresh(self) -> ChunkingState:
        return ChunkingState(Chunker(Rules(max_tokens=self.options.max_tokens)))

    def step(self, state: ChunkingState, message: Message, now_us: int) -> Actions:
        match message:
            case Token(text=text):
                return self._token(state, text, now_us)
            case EndOfReply():
                chunks = [*state.chunker.feed(state.whole), *state.chunker.flush()]
                actions = [*self._clauses(state, chunks), Emit("clauses", message), SetTimer(None, _STALL)]
                state.chunker.reset()
                state.clauses, state.whole = 0, ""
                return actions
            case Timer():
                return self._clauses(state, state.chunker.stall())
        return NOTHING

    def _token(self, state: ChunkingState, text: str, now_us: int) -> Actions:
        if self.options.mode is Mode.REPLY:
            state.whole += text
            return NOTHING
        clauses = self._clauses(state, state.chunker.feed(text))
        at_us = now_us + self.options.flush_after if state.chunker.pending() else None
        return [*clauses, SetTimer(at_us, _STALL)]

    def _clauses(self, state: ChunkingState, chunks: Iterable[Chunk]) -> list[Emit]:
        first = state.clauses
        emits = [
            Emit("clauses", Clause(first + i, chunk.text, chunk.spoken, chunk.tokens, chunk.reason.value))
            for i, chunk in enumerate(chunks)
        ]
        state.clauses += len(emits)
        return emits
