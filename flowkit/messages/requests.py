"""Requests: what a provider call is opened with, and what else leaves the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from flowkit.messages.control import ToolStatus
from flowkit.messages.message import Message, filled


@dataclass(frozen=True, slots=True)
class Capture(Message):
    """Open the source. Answered by Frames and at most one InputEnded. Session scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Detect(Message):
    """Open the VAD. It is fed Frames. Answered by Probability. Session scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Predict(Message):
    """Open an end-of-turn predictor. It is fed one TurnSoFar at a time. Answered by one Prediction for each. Session scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class TurnSoFar(Message):
    """What the user has `said` in this turn, up to frame `until` (-1: unknown), and what the agent said last: `asked`."""

    lane: ClassVar[str] = "P"
    said: str
    asked: str = ""
    until: int = -1


@dataclass(frozen=True, slots=True)
class Transcribe(Message):
    """Open the ASR. It is fed Frames, SpeechStarted, SpeechStopped and EndOfUtterance. Session scope.

    Answered by Partial, and by one Final for each EndOfUtterance.
    """

    lane: ClassVar[str] = "P"


class Called(NamedTuple):
    """A tool call with its outcome: `status` is a ToolStatus."""

    id: str
    name: str
    arguments: str
    status: str = ToolStatus.RUNNING.value
    content: str = ""


class ReplyStep(NamedTuple):
    """A part of a reply that ends with tool calls: the model's `text`, then its `calls`."""

    text: str
    calls: tuple[Called, ...]


class Exchange(NamedTuple):
    """One past turn as the model should remember it: what the user said, which tools the model called, what the user heard."""

    user: str
    agent: str
    steps: tuple[ReplyStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask(Message):
    """Open the LLM. Answered by Token and ToolCall, and Done. Turn scope."""

    lane: ClassVar[str] = "P"
    turn: int
    text: str
    """The user's text."""
    history: tuple[Exchange, ...] = ()
    """The past turns, the oldest first."""
    said: str = ""
    """The beginning of the reply that was said before the reply broke off. An LLM that can continues there."""
    shortened: bool = False
    """Whether the request was refused for its length and is made again with less history."""
    steps: tuple[ReplyStep, ...] = ()
    """What the model did in this turn so far: its text, its tool calls, their outcomes."""
    tools: bool = True
    """Whether the model may call tools."""
    instructions: str = ""
    """The system prompt, in place of the provider's own."""
    offered: str = ""
    """Tools besides those of the file, as in `Instruct`."""
    choice: str = ""
    """What it is to call, as in `Instruct`."""


@dataclass(frozen=True, slots=True)
class RunTools(Message):
    """Open the provider that runs tools; ToolCall and CancelTool are fed. Answered by one ToolOutcome a call. Session
    scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class CancelTool(Message):
    """Stop tool call `id`. An outcome that still comes is stale."""

    lane: ClassVar[str] = "P"
    id: str


@dataclass(frozen=True, slots=True)
class Speak(Message):
    """Open TTS for the spoken text of one clause. Answered by Audio (first_sample from 0) and Done. Turn scope."""

    lane: ClassVar[str] = "P"
    clause: int
    text: str


@dataclass(frozen=True, slots=True)
class Narrate(Message):
    """Open a continuous voice for one reply. It is fed each clause as a Speak. Turn scope.

    Answered, clause by clause, by Audio and WordTimes and then ClauseEnded.
    """

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Render(Message):
    """Open the sink. It is fed Play and Silence. Session scope."""

    lane: ClassVar[str] = "P"


@filled
@dataclass(frozen=True, slots=True)
class Play(Message):
    """Play these samples, the first at `at_us` in session time. Fed to the sink in the order of `at_us`."""

    lane: ClassVar[str] = "P"
    at_us: int
    clause: int
    first_sample: int
    """Place of the first sample in the clause."""
    samples: int
    rate_hz: int
    epoch: int = 0
    pcm: bytes = field(default=b"", repr=False, compare=False)

    def of_epoch(self, epoch: int) -> Play:
        """The same, with the epoch of the reply."""
        return Play(self.at_us, self.clause, self.first_sample, self.samples, self.rate_hz, epoch, self.pcm)


@dataclass(frozen=True, slots=True)
class Silence(Message):
    """Be silent from `at_us` on: drop what was sent for later. Fed to the sink."""

    lane: ClassVar[str] = "P"
    at_us: int


# -- what else leaves the engine, for the journal ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputClosed(Message):
    """The call will be fed nothing more. Its answers are still awaited."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Cancelled(Message):
    """The call is cancelled. What still comes from it is stale."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Fed(Message):
    """So far `count` items were forwarded to the call. `digest` is the CRC-32 of all of them.

    One row covers many items. With a row for each, a trace would be twice as large.
    """

    lane: ClassVar[str] = "P"
    count: int
    digest: int
