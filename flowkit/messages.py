"""Every message between stages, and between a stage and its provider, as frozen dataclasses.

There are three lanes. *Control* messages (`lane = "C"`) are handled first. *Data* (`lane = "D"`) keeps its order; end
markers are data too, so that no end overtakes its content. What a stage sends to its provider (`lane = "P"`) does not
wait.

`lossy` messages may be dropped by a `drop_*` policy. Markers are not lossy, so no policy drops them.

PCM is signed 16-bit little-endian mono in `pcm`. It takes no part in comparison and never enters the journal. So a
replay without audio is the same conversation.

Times are integer microseconds. Positions are frame indexes on the input side and samples on the output side.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, TypeVar

M = TypeVar("M")


def _filled(cls: type[M]) -> type[M]:
    """Give a dataclass that is created often an ``__init__`` that fills its slots directly.

    The generated one of a frozen dataclass takes twice as long, because it sets each attribute through
    ``object.__setattr__``. Instances stay frozen.
    """
    given = fields(cls)  # type: ignore[arg-type]
    names: dict[str, Any] = {f"set_{f.name}": getattr(cls, f.name).__set__ for f in given}
    names |= {f"default_{f.name}": f.default for f in given}
    arguments = ", ".join(f.name if f.default is MISSING else f"{f.name}=default_{f.name}" for f in given)
    body = "; ".join(f"set_{f.name}(self, {f.name})" for f in given)
    exec(f"def __init__(self, {arguments}): {body}", names)
    cls.__init__ = names["__init__"]  # type: ignore[method-assign]
    return cls


@dataclass(frozen=True, slots=True)
class Message:
    """Base class of all messages."""

    lane: ClassVar[str] = "D"
    """C control, D data, P to a provider."""
    lossy: ClassVar[bool] = False
    """Whether a `drop_*` policy may drop it."""

    def journaled(self) -> Message:
        """The message without its sound."""
        return self


# -- the listening side: device, VAD, ASR ------------------------------------------------------------------------------


@_filled
@dataclass(frozen=True, slots=True)
class Frames(Message):
    """`count` consecutive microphone frames (20 ms each unless configured) from index `index` on. Data, device -> vad
    and asr."""

    lossy: ClassVar[bool] = True
    index: int
    count: int
    pcm: bytes = field(default=b"", repr=False, compare=False)

    def journaled(self) -> Message:
        return Frames(self.index, self.count) if self.pcm else self


@dataclass(frozen=True, slots=True)
class InputEnded(Message):
    """The source has no more speech after `frame` frames (the end of a file). Silence may follow. Data, a marker."""

    frame: int


@_filled
@dataclass(frozen=True, slots=True)
class Probability(Message):
    """The VAD provider's probability of speech, 0 to 1, at the end of frame `frame`. Data, provider -> vad."""

    frame: int
    p: float


@dataclass(frozen=True, slots=True)
class SpeechStarted(Message):
    """The user began to speak at frame `frame`. Control, vad -> gate and asr.

    `goes_on`: without a pause, because the utterance before was ended for its length.
    """

    lane: ClassVar[str] = "C"
    frame: int
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class SpeechStopped(Message):
    """The user's voice paused after frame `last_voiced`. The utterance has not ended yet. Control, vad -> gate."""

    lane: ClassVar[str] = "C"
    last_voiced: int


@dataclass(frozen=True, slots=True)
class EndOfUtterance(Message):
    """Utterance number `utterance` ended with frame `last_voiced`: the silence after it lasted long enough. Data, a
    marker, vad -> asr."""

    utterance: int
    last_voiced: int


@_filled
@dataclass(frozen=True, slots=True)
class Partial(Message):
    """The transcript so far, which replaces the one before. Shown, never sent to the LLM. Data, asr -> gate."""

    text: str


@dataclass(frozen=True, slots=True)
class Final(Message):
    """The final transcript of utterance `utterance`; empty if nothing was said. Data, asr -> gate."""

    text: str
    utterance: int


@dataclass(frozen=True, slots=True)
class Typed(Message):
    """A typed line in place of speech. Data, text source -> gate."""

    text: str


# -- the replying side: LLM, chunker, TTS, playback --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Utterance(Message):
    """The user's text of turn `turn`, which the gate releases. Data, gate -> llm.

    `heard` is what was heard of the reply before. `said` is set if the same turn is answered again, because an
    interruption without words cut its reply off: it is what was heard of that reply. `say` is set if nobody asked
    anything: the agent says this, and the model is not asked.
    """

    turn: int
    text: str
    heard: str
    said: str = ""
    say: str = ""


@_filled
@dataclass(frozen=True, slots=True)
class Token(Message):
    """A piece of LLM text. `index` counts from 0 in its reply. Data, llm -> chunker."""

    lossy: ClassVar[bool] = True
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class EndOfStep(Message):
    """The model has called tools: its words so far are complete, and the reply goes on when the outcomes are there. Data, a
    marker, llm -> chunker."""


@dataclass(frozen=True, slots=True)
class Filler(Message):
    """Said while a tool runs. It is not the model's text, so no history has it. Control from the tools to the llm; data from there
    to the chunker."""

    text: str


@dataclass(frozen=True, slots=True)
class EndOfReply(Message):
    """Comes after the last token or clause of a reply. Data, a marker, llm -> chunker -> tts -> speaker."""


@_filled
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


@_filled
@dataclass(frozen=True, slots=True)
class ClauseStarted(Message):
    """The audio that follows belongs to clause `clause`. Data, a marker, tts -> speaker.

    `text`, `spoken` and `marks` are those of the clause.
    """

    clause: int
    text: str
    spoken: str
    marks: tuple[tuple[int, int], ...] = ()


@_filled
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

    def journaled(self) -> Message:
        if not self.pcm:
            return self
        return Audio(self.clause, self.first_sample, self.samples, self.rate_hz, self.total)


@dataclass(frozen=True, slots=True)
class WordTimes(Message):
    """Words of clause `clause`, each with the sample at which it ends. Only some providers know. Data, provider -> tts
    -> speaker."""

    clause: int
    words: tuple[tuple[str, int], ...]


@_filled
@dataclass(frozen=True, slots=True)
class ClauseEnded(Message):
    """The audio of clause `clause` is complete. Data, a marker, tts -> speaker.

    `samples` is its length; 0 if TTS gives no sound. Not `whole`: the voice failed before it had spoken everything.
    """

    clause: int
    samples: int
    whole: bool = True


# -- tools, all control ------------------------------------------------------------------------------------------------


class ToolStatus(StrEnum):
    """How a tool call went."""

    RUNNING = "running"
    """Not over yet."""
    RESULT = "result"
    ERROR = "error"
    """It failed, or its arguments do not fit, or there is no such tool."""
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    ENDED = "ended"
    """It ends the session: there is nothing left to say about it."""


@dataclass(frozen=True, slots=True)
class ToolCall(Message):
    """The model calls tool `name`; `arguments` is the JSON text of an object, as the model wrote it. A provider may give any `id`;
    the llm stage gives the calls of a session numbers of its own. Provider -> llm -> tools."""

    lane: ClassVar[str] = "C"
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolOutcome(Message):
    """What came of call `id`, a ToolStatus; `content` is for the model. Provider -> tools -> llm, once a call."""

    lane: ClassVar[str] = "C"
    id: str
    status: str
    content: str


@dataclass(frozen=True, slots=True)
class Acted(Message):
    """A tool that may change the world was called for this turn, so its question is not asked again. Tools -> gate."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class EndSession(Message):
    """The model ends the session: at once, or `after_playout` when the reply has been heard. Tools -> gate."""

    lane: ClassVar[str] = "C"
    after_playout: bool = True


# -- turn-taking, all control ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interrupt(Message):
    """STOP, DRAIN and RESET every replying stage. Control, gate -> replying stages.

    The envelope carries the new epoch.
    """

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class Hold(Message):
    """A barge-in is suspected: stop the sound and keep the place. Control, gate -> speaker."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class Resume(Message):
    """The suspicion is withdrawn: continue at the held sample. Control, gate -> speaker."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class PlaybackStarted(Message):
    """The sound of the reply begins, or begins again after a hold. Control, speaker -> gate.

    Its first frame, of clause `clause`, is popped at `at_us`.
    """

    lane: ClassVar[str] = "C"
    clause: int
    at_us: int


@_filled
@dataclass(frozen=True, slots=True)
class Heard(Message):
    """Clause `clause` was played up to sample `played` of `total` (0: unknown). Control, speaker -> gate, once for each
    clause.

    `text` is the part of its original text that was heard.
    """

    lane: ClassVar[str] = "C"
    clause: int
    text: str
    played: int
    total: int


@dataclass(frozen=True, slots=True)
class ReplyPlayed(Message):
    """The last frame of the reply was played. Control, speaker -> gate."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class Fault(Message):
    """Stage `stage` could not do its work in this turn. `what` is for people. Control, any stage -> gate."""

    lane: ClassVar[str] = "C"
    stage: str
    what: str


@dataclass(frozen=True, slots=True)
class Shutdown(Message):
    """The session closes. Control, pump -> gate."""

    lane: ClassVar[str] = "C"
    reason: str


@_filled
@dataclass(frozen=True, slots=True)
class Timer(Message):
    """A deadline that the stage has set was reached. Control, engine -> stage."""

    lane: ClassVar[str] = "C"
    tag: str


# -- a provider call's own ends ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done(Message):
    """The provider has given everything. Data, after the last item."""


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """The provider failed. Control.

    `kind` is one word: ``timeout``, ``error``, ``malformed``, or ``length`` if the request is too long for the model.
    `what` is for people.
    """

    lane: ClassVar[str] = "C"
    kind: str
    what: str


@_filled
@dataclass(frozen=True, slots=True)
class Credit(Message):
    """The provider has taken `count` more of the items that it was fed. So a bound counts these too. Control."""

    lane: ClassVar[str] = "C"
    count: int


# -- requests: what a call is opened with ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capture(Message):
    """Open the source. Answered by Frames and at most one InputEnded. Session scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Detect(Message):
    """Open the VAD. It is fed Frames. Answered by Probability. Session scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Transcribe(Message):
    """Open the ASR. It is fed Frames, SpeechStarted and EndOfUtterance. Session scope.

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


@_filled
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

    def journaled(self) -> Message:
        if not self.pcm:
            return self
        return Play(self.at_us, self.clause, self.first_sample, self.samples, self.rate_hz, self.epoch)

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
