"""The buffer between LLM and TTS: tokens in, speakable clauses out. ``flowkit.chunker`` does the cutting.

The stage holds only the text of one unfinished clause, which ``max_tokens`` bounds. Two decisions are made here and not
in the chunker, because they depend on time or take a risk: a stalled reply releases what is speakable, and the first
clause may be spoken provisionally.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.chunker import Chunk, Chunker, FirstRules, Reason, Rules, SpeakRules
from flowkit.messages import Clause, Commit, EndOfReply, EndOfStep, Filler, Message, Revoke, Timer, Token
from flowkit.stages.base import (
    NOTHING,
    Action,
    Actions,
    Emit,
    SetTimer,
    Stage,
    new,
)

FILLER = "filler"
"""The reason of clauses that are said while a tool runs."""
_STALL = "flush_after"


class Mode(StrEnum):
    """Where clauses may end."""

    CLAUSE = "clause"
    SENTENCE = "sentence"
    REPLY = "reply"
    """Wait for the whole reply. This is the first of the five mistakes, kept to show what it costs."""


class Way(StrEnum):
    """How a kind of span is spoken."""

    PLAIN = "plain"
    VERBATIM = "verbatim"
    SKIP = "skip"


class First(opt.Options):
    """Rules for the first clause of a reply, which decides when the user hears the first sound."""

    min_tokens: int = Field(default=FirstRules().min_tokens, ge=1, le=1000)
    """Clause marks cut from this many tokens on; a sentence end always cuts."""
    flush_after: opt.Duration | None = None
    """`flush_after` for the first clause; by default the same."""


class SpeakOptions(opt.Options):
    """How each kind of span is spoken: `plain` (made speakable), `verbatim` (as written) or `skip` (not at all)."""

    emphasis: Way = Way.PLAIN
    """Bold, italic, struck."""
    heading: Way = Way.PLAIN
    """Headings."""
    list: Way = Way.PLAIN
    """List markers."""
    quote: Way = Way.PLAIN
    """Quoted lines."""
    link: Way = Way.PLAIN
    """Markdown links: plain speaks the label."""
    url: Way = Way.PLAIN
    """Bare addresses."""
    code: Way = Way.PLAIN
    """Inline code."""
    fence: Way = Way.PLAIN
    """Code blocks: plain speaks "code example"."""
    table: Way = Way.PLAIN
    """Table rows: plain speaks the cells."""
    tag: Way = Way.PLAIN
    """HTML and SSML tags."""
    emoji: Way = Way.PLAIN
    """Emoji: plain speaks nothing."""


@dataclass(slots=True)
class ChunkingState:
    """`chunker` holds the unfinished clause. `clauses` counts those cut so far. `whole` is the text of the reply in
    mode ``reply``. `provisional`: a first clause that is already being spoken."""

    chunker: Chunker
    clauses: int = 0
    whole: str = ""
    provisional: Chunk | None = None


class Chunking(Stage[ChunkingState]):
    """Tokens -> clauses."""

    kind = "chunker"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"tokens": ("tokens",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses", "verdict": "verdict"}
    replying = True

    class Options(opt.Options):
        mode: Mode = Mode.CLAUSE
        """`clause`: sentences, and clauses from a minimum on; `sentence`: sentences only; `reply`: nothing until the end."""
        language: str = Rules().language
        """A code such as `en` or `de-AT`; `auto` detects the language from the text."""
        first: First = First()
        """Rules for the first clause."""
        comma_after: int = Field(default=Rules().comma_after, ge=1, le=1000)
        """Tokens from which a comma cuts, after the first clause."""
        semicolon_after: int = Field(default=Rules().semicolon_after, ge=1, le=1000)
        """Tokens from which a semicolon cuts, after the first clause."""
        colon_after: int = Field(default=Rules().colon_after, ge=1, le=1000)
        """Tokens from which a colon cuts, after the first clause."""
        dash_after: int = Field(default=Rules().dash_after, ge=1, le=1000)
        """Tokens from which a spaced dash or an ellipsis cuts, after the first clause."""
        max_tokens: int = Field(default=Rules().max_tokens, ge=1, le=1000)
        """Largest size of a clause, in estimated tokens."""
        flush_after: opt.Duration = opt.us("600ms")
        """If no token comes for this long, what is speakable is emitted."""
        never_split: tuple[str, ...] = ()
        """Terms that are never cut, such as `Acme Inc.`."""
        speak: SpeakOptions = SpeakOptions()
        """What the TTS gets for each kind of span. The journal and the history keep the original."""
        speculate_end: bool = False
        """Speak the first clause provisionally as soon as it looks complete; the next character commits or revokes it."""

        def rules(self) -> Rules:
            """The chunker's rules for these options."""
            return Rules(
                language=self.language,
                mode="sentence" if self.mode is Mode.SENTENCE else "clause",
                first=FirstRules(self.first.min_tokens),
                comma_after=self.comma_after,
                semicolon_after=self.semicolon_after,
                colon_after=self.colon_after,
                dash_after=self.dash_after,
                max_tokens=self.max_tokens,
                never_split=self.never_split,
                speak=SpeakRules(**self.speak.model_dump(mode="json")),
            )

    options: Options

    def __init__(self, options: Options, frame_us: int = 20_000) -> None:
        super().__init__(options, frame_us)
        # Looked up once, because these are needed for every token.
        self._whole_reply, self._speculates = options.mode is Mode.REPLY, options.speculate_end
        self._flush_after_us, first_us = options.flush_after, options.first.flush_after
        self._first_flush_after_us = self._flush_after_us if first_us is None else first_us

    def fresh(self) -> ChunkingState:
        return ChunkingState(Chunker(self.options.rules()))

    def step(self, state: ChunkingState, message: Message, now_us: int) -> Actions:
        match message:
            case Token(text=text):
                return self._token(state, text, now_us)
            case EndOfReply():
                flushed = self._flush(state)
                state.clauses = 0
                return [*flushed, Emit("clauses", message)]
            case EndOfStep():
                # Tools run now, and what was said before them must not wait for their outcome.
                return [*self._flush(state), Emit("clauses", message)]
            case Filler(text=text):
                # The model's unfinished clause came first, so it is spoken first.
                return [*self._flush(state), *self._filler(state, text)]
            case Timer():
                return self._clauses(state, state.chunker.stall())
        return NOTHING

    def _token(self, state: ChunkingState, text: str, now_us: int) -> Actions:
        if self._whole_reply:
            state.whole += text
            return NOTHING
        clauses = self._clauses(state, chunks) if (chunks := state.chunker.feed(text)) else []
        flush_after_us = self._flush_after_us if state.clauses else self._first_flush_after_us
        # Without speakable text a stall would have nothing to release.
        stall = new(SetTimer, (now_us + flush_after_us if state.chunker.pending() else None, _STALL))
        return [*clauses, *self._speculate(state), stall] if clauses or self._speculates else (stall,)

    def _flush(self, state: ChunkingState) -> list[Action]:
        """The text so far is complete: cut all of it. What comes next begins like a reply."""
        chunks = [*state.chunker.feed(state.whole), *state.chunker.flush()]
        if self.options.mode is Mode.REPLY:
            chunks = _as_one(chunks)
        actions = [*self._clauses(state, chunks), *self._revoke(state), SetTimer(None, _STALL)]
        state.chunker.reset()
        state.whole = ""
        return actions

    def _filler(self, state: ChunkingState, text: str) -> list[Action]:
        """Clauses that are spoken and have no text: they are not the model's."""
        chunks = [*state.chunker.feed(text), *state.chunker.flush()]
        state.chunker.reset()
        actions: list[Action] = []
        for chunk in chunks:
            actions.append(Emit("clauses", Clause(state.clauses, "", chunk.spoken, chunk.tokens, FILLER)))
            state.clauses += 1
        return actions

    def _clauses(self, state: ChunkingState, chunks: Iterable[Chunk]) -> list[Action]:
        """Each chunk as a clause. If the first was already spoken provisionally, it is committed."""
        actions: list[Action] = []
        for chunk in chunks:
            # The text alone decides: what is being spoken is right, whatever the reason for the cut.
            if state.provisional is not None and state.provisional.text == chunk.text:
                state.provisional = None
                actions.append(Emit("verdict", Commit(state.clauses)))
            else:
                actions += [*self._revoke(state), Emit("clauses", _clause(state.clauses, chunk))]
            state.clauses += 1
        return actions

    def _speculate(self, state: ChunkingState) -> list[Action]:
        """Before the first clause is cut: speak what looks complete, and revoke what no longer does."""
        # Only the first clause decides when the user hears the first sound, so only it is worth the risk.
        if not self.options.speculate_end or state.clauses:
            return []
        likely = state.chunker.likely()
        if state.provisional is not None and (likely is None or likely.text != state.provisional.text):
            return self._revoke(state)
        if state.provisional is None and likely is not None and likely.spoken:
            state.provisional = likely
            return [Emit("clauses", _clause(0, likely, provisional=True))]
        return []

    def _revoke(self, state: ChunkingState) -> list[Action]:
        if state.provisional is None:
            return []
        state.provisional = None
        return [Emit("verdict", Revoke(0))]


def _as_one(chunks: list[Chunk]) -> list[Chunk]:
    """The whole reply as a single chunk, whatever its size, without the mapping from its spoken form."""
    if not chunks:
        return []
    spoken = " ".join(chunk.spoken for chunk in chunks if chunk.spoken)
    tokens = sum(chunk.tokens for chunk in chunks)
    return [Chunk("".join(chunk.text for chunk in chunks), spoken, tokens, Reason.END)]


def _clause(index: int, chunk: Chunk, *, provisional: bool = False) -> Clause:
    return Clause(index, chunk.text, chunk.spoken, chunk.tokens, chunk.reason.value, chunk.marks, provisional)
