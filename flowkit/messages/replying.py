"""The replying side: LLM, chunker, TTS, playback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from flowkit.messages.message import Message, filled


@dataclass(frozen=True, slots=True)
class Utterance(Message):
    """The user's text of turn `turn`, which the gate releases. Data, gate -> llm.

    `heard` is what was heard of the reply before. `said` is set if the same turn is answered again, because an
    interruption without words cut its reply off: it is what was heard of that reply. `say` is set if nobody asked
    anything: the agent says this, and the model is not asked. `instructions`, `offered` and `choice`: a client's for this reply
    alone, as in `Instruct`. `aside`: nothing of it is remembered. `early`: the user may not have finished.
    The answer waits for Released.
    """

    turn: int
    text: str
    heard: str
    said: str = ""
    say: str = ""
    instructions: str = ""
    aside: bool = False
    offered: str = ""
    choice: str = ""
    early: bool = False


@filled
@dataclass(frozen=True, slots=True)
class Token(Message):
    """A piece of LLM text. `index` counts from 0 in its reply. Data, llm -> chunker."""

    lossy: ClassVar[bool] = True
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class EndOfStep(Message):
    """The model has called tools: its words so far are complete, and the reply goes on when the outcomes are there. Data, a
    marker, llm -> chunker -> tts -> speaker."""


@dataclass(frozen=True, slots=True)
class Filler(Message):
    """Said while a tool runs. It is not the model's text, so no history has it. Control from the tools to the llm; data from there
    to the chunker, with the next `index` of the reply's tokens."""

    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class EndOfReply(Message):
    """Comes after the last token or clause of a reply. Data, a marker, llm -> chunker -> tts -> speaker."""


@filled
@dataclass(frozen=True, slots=True)
class Clause(Message):
    """A chunk to speak. Data, chunker -> tts."""

    lossy: ClassVar[bool] = True
    index: int
    """Counts from 0 in its reply."""
    text: str
    """The original text."""
    spoken: str
    """The text for TTS. May be empty."""
    tokens: int
    """Its estimated size."""
    reason: str
    """Why the chunker cut here."""
    marks: tuple[tuple[int, int], ...] = ()
    """How `spoken` maps to `text`: pairs of lengths, as in ``chunker.Chunk``."""
    provisional: bool = False
    """Whether the chunker guessed the cut. A `Commit` or a `Revoke` follows."""


@dataclass(frozen=True, slots=True)
class Commit(Message):
    """The provisional clause `clause` was cut correctly, so its audio may be played. Control, chunker -> tts."""

    lane: ClassVar[str] = "C"
    clause: int


@dataclass(frozen=True, slots=True)
class Revoke(Message):
    """The provisional clause `clause` was cut wrongly, so it must not be played. Control, chunker -> tts."""

    lane: ClassVar[str] = "C"
    clause: int


@filled
@dataclass(frozen=True, slots=True)
class ClauseStarted(Message):
    """The audio that follows belongs to clause `clause`. Data, a marker, tts -> speaker.

    `text`, `spoken` and `marks` are those of the clause.
    """

    clause: int
    text: str
    spoken: str
    marks: tuple[tuple[int, int], ...] = ()


@filled
@dataclass(frozen=True, slots=True)
class Audio(Message):
    """A piece of a clause's audio. Data, provider -> tts -> speaker."""

    lossy: ClassVar[bool] = True
    clause: int
    first_sample: int
    """Place of its first sample in the clause."""
    samples: int
    rate_hz: int
    total: int = 0
    """Samples in the whole clause, if the provider knows it already; else 0."""
    pcm: bytes = field(default=b"", repr=False, compare=False)

    @property
    def length_us(self) -> int:
        """How long it lasts."""
        return self.samples * 1_000_000 // self.rate_hz


@dataclass(frozen=True, slots=True)
class WordTimes(Message):
    """Words of clause `clause`, each with the sample at which it ends. Only some providers know. Data, provider -> tts
    -> speaker."""

    clause: int
    words: tuple[tuple[str, int], ...]


@filled
@dataclass(frozen=True, slots=True)
class ClauseEnded(Message):
    """The audio of clause `clause` is complete. Data, a marker, tts -> speaker.

    `samples` is its length; 0 if TTS gives no sound. Not `whole`: the voice failed before it had spoken everything.
    """

    clause: int
    samples: int
    whole: bool = True
