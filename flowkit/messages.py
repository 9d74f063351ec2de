"""Every message between stages, and between a stage and its provider, as frozen dataclasses: the vocabulary of a session.

Three lanes. *Control* messages (`lane = "C"`) are handled first; *data* (`lane = "D"`) keeps its order, end markers included,
so that no end overtakes its own content; what leaves a stage for its provider (`lane = "P"`) waits for nobody.
A marker is never dropped by a queue's policy.
`lossy` messages may be dropped by a `drop_*` policy; `bulky` ones
enter the journal without their sound. PCM is signed 16-bit little-endian mono; it rides along in `pcm`, takes no
part in comparison and never enters the journal, so a replay without audio is the same conversation.
Times are integer microseconds, positions are frame indexes (input side) or samples (output side).
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, TypeVar

M = TypeVar("M")


def _filled(cls: type[M]) -> type[M]:
    """For what is made often: fill the slots directly. Frozen dataclasses do it in twice the time, attribute by attribute
    past their own lock; the lock stays."""
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
    """What every message is: immutable, with a lane, and a form that the journal may keep."""

    lane: ClassVar[str] = "D"
    lossy: ClassVar[bool] = False
    bulky: ClassVar[bool] = False

    def journaled(self) -> Message:
        """The message without bulk payload."""
        return self


# -- the listening side: device, VAD, ASR ------------------------------------------------------------------------------


@_filled
@dataclass(frozen=True, slots=True)
class Frames(Message):
    """`count` consecutive microphone frames (20 ms each unless configured) from `index` on. Data, device -> vad and asr."""

    lossy: ClassVar[bool] = True
    bulky: ClassVar[bool] = True
    index: int
    count: int
    pcm: bytes = field(default=b"", repr=False, compare=False)

    def journaled(self) -> Message:
        return Frames(self.index, self.count) if self.pcm else self


@dataclass(frozen=True, slots=True)
class InputEnded(Message):
    """The source has no more speech after `frame` frames (a file's end); silence may go on. Data, a marker."""

    frame: int


@_filled
@dataclass(frozen=True, slots=True)
class Probability(Message):
    """A VAD provider's answer: speech probability 0..1 up to the end of frame `frame`. Data, provider -> vad."""

    frame: int
    p: float


@dataclass(frozen=True, slots=True)
class SpeechStarted(Message):
    """The user began to speak at frame `frame`; `goes_on`: without having stopped, as the utterance before is ended for its
    length. Control, vad -> gate and asr."""

    lane: ClassVar[str] = "C"
    frame: int
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class SpeechStopped(Message):
    """The user's voice paused after frame `last_voiced`; not yet an end of utterance. Control, vad -> gate."""

    lane: ClassVar[str] = "C"
    last_voiced: int


@dataclass(frozen=True, slots=True)
class EndOfUtterance(Message):
    """Silence has lasted: utterance number `utterance` ended with frame `last_voiced`. Data, a marker, vad -> asr, in band."""

    utterance: int
    last_voiced: int


@_filled
@dataclass(frozen=True, slots=True)
class Partial(Message):
    """The transcript so far, tentative, a whole replacement of the one before. Data, asr -> gate; shown, never prompts."""

    text: str


@dataclass(frozen=True, slots=True)
class Final(Message):
    """The committed transcript of utterance `utterance`; empty if nothing was said. Data, asr -> gate."""

    text: str
    utterance: int


@dataclass(frozen=True, slots=True)
class Typed(Message):
    """A line typed instead of spoken. Data, text source -> gate."""

    text: str


# -- the replying side: LLM, chunker, TTS, playback --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Utterance(Message):
    """What the gate releases: the user's text of turn `turn`, and what was heard of the reply before. `said`: the same turn again,
    whose reply was cut off for nothing; what was heard of it. Data, gate -> llm."""

    turn: int
    text: str
    heard: str
    said: str = ""


@_filled
@dataclass(frozen=True, slots=True)
class Token(Message):
    """A piece of LLM text, numbered from 0 in its reply. Data, llm -> chunker."""

    lossy: ClassVar[bool] = True
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class EndOfReply(Message):
    """Behind the last token or clause of a reply. Data, a marker, llm -> chunker -> tts -> speaker."""


@_filled
@dataclass(frozen=True, slots=True)
class Clause(Message):
    """A speakable chunk, numbered from 0 in its reply. `text` is the original, `spoken` what TTS gets (may be empty).
    `tokens` is its estimated size, `reason` why the chunker cut here, `marks` how `spoken` maps back to `text` (pairs of
    lengths, as in ``chunker.Chunk``); a `provisional` one waits for its verdict. Data, chunker -> tts."""

    lossy: ClassVar[bool] = True
    index: int
    text: str
    spoken: str
    tokens: int
    reason: str
    marks: tuple[tuple[int, int], ...] = ()
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Commit(Message):
    """The provisional clause `clause` stands: its sound may be heard. Control, chunker -> tts."""

    lane: ClassVar[str] = "C"
    clause: int


@dataclass(frozen=True, slots=True)
class Revoke(Message):
    """The provisional clause `clause` was cut wrongly: it must never be heard. Control, chunker -> tts."""

    lane: ClassVar[str] = "C"
    clause: int


@_filled
@dataclass(frozen=True, slots=True)
class ClauseStarted(Message):
    """The audio that follows belongs to clause `clause`: original `text`, what is said, and how the one maps to the other.
    Data, a marker, tts -> speaker."""

    clause: int
    text: str
    spoken: str
    marks: tuple[tuple[int, int], ...] = ()


@_filled
@dataclass(frozen=True, slots=True)
class Audio(Message):
    """`samples` samples of clause `clause` from `first_sample` on, at `rate_hz`; `total` samples in the whole clause if the
    provider knows already, else 0. Data, provider -> tts -> speaker."""

    lossy: ClassVar[bool] = True
    bulky: ClassVar[bool] = True
    clause: int
    first_sample: int
    samples: int
    rate_hz: int
    total: int = 0
    pcm: bytes = field(default=b"", repr=False, compare=False)

    def journaled(self) -> Message:
        if not self.pcm:
            return self
        return Audio(self.clause, self.first_sample, self.samples, self.rate_hz, self.total)


@dataclass(frozen=True, slots=True)
class WordTimes(Message):
    """When the provider knows: words of clause `clause` with the sample at which each ends. Data, provider -> tts -> speaker."""

    clause: int
    words: tuple[tuple[str, int], ...]


@_filled
@dataclass(frozen=True, slots=True)
class ClauseEnded(Message):
    """The audio of clause `clause` is complete: `samples` in all (0 where TTS has no sound); not `whole` if the voice failed before
    it had said everything. Data, a marker, tts -> speaker."""

    clause: int
    samples: int
    whole: bool = True


# -- turn-taking, all control ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interrupt(Message):
    """STOP, DRAIN, RESET for every replying stage. Its envelope carries the new epoch. Control, gate -> replying stages."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class Hold(Message):
    """A suspected barge-in: stop sounding, keep the place. Control, gate -> speaker."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class Resume(Message):
    """The suspicion is withdrawn: go on from the held sample. Control, gate -> speaker."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class PlaybackStarted(Message):
    """The reply's sound begins (again) at `at_us`, the time its first frame is popped. Control, speaker -> gate."""

    lane: ClassVar[str] = "C"
    clause: int
    at_us: int


@_filled
@dataclass(frozen=True, slots=True)
class Heard(Message):
    """Clause `clause` was played up to sample `played` of `total` (0: not known); `text` is the heard part of its original.
    Control, speaker -> gate, once a clause."""

    lane: ClassVar[str] = "C"
    clause: int
    text: str
    played: int
    total: int


@dataclass(frozen=True, slots=True)
class ReplyPlayed(Message):
    """The last frame of the reply has sounded. Control, speaker -> gate."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class Fault(Message):
    """A stage could not do its work in this turn; `what` is for people. Control, any stage -> gate."""

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
    """A deadline that the stage itself asked for has come. Control, engine -> stage."""

    lane: ClassVar[str] = "C"
    tag: str


# -- a provider call's own ends ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done(Message):
    """The provider has given everything. Data, behind the last item."""


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """The provider failed: `kind` is one word (`timeout`, `error`, `malformed`; `length`: the request is too long for the model),
    `what` is for people. Control."""

    lane: ClassVar[str] = "C"
    kind: str
    what: str


@_filled
@dataclass(frozen=True, slots=True)
class Credit(Message):
    """The provider has taken `count` more of the items fed to it. Control; how a bound reaches across a channel."""

    lane: ClassVar[str] = "C"
    count: int


# -- requests: what a call is opened with ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capture(Message):
    """Open the source. Answered by Frames and at most one InputEnded. Session scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Detect(Message):
    """Open the VAD; Frames are fed. Answered by Probability. Session scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Transcribe(Message):
    """Open the ASR; Frames, SpeechStarted and EndOfUtterance are fed. Answered by Partial, and one Final for each
    EndOfUtterance. Session scope."""

    lane: ClassVar[str] = "P"


class Exchange(NamedTuple):
    """One past turn as the model should remember it: what the user said, and what the user heard."""

    user: str
    agent: str


@dataclass(frozen=True, slots=True)
class Ask(Message):
    """Open the LLM with the user's text and the past; `said` is what was said of the reply before it broke off; `shortened`: the
    request was refused for its length, and is made again with less past. Answered by Token and Done. Turn scope."""

    lane: ClassVar[str] = "P"
    turn: int
    text: str
    history: tuple[Exchange, ...] = ()
    said: str = ""
    shortened: bool = False


@dataclass(frozen=True, slots=True)
class Speak(Message):
    """Open the TTS for one clause's spoken text. Answered by Audio (first_sample from 0) and Done. Turn scope."""

    lane: ClassVar[str] = "P"
    clause: int
    text: str


@dataclass(frozen=True, slots=True)
class Narrate(Message):
    """Open a continuous voice for one reply; each clause is fed as a Speak. Answered, in order, by each clause's Audio and
    WordTimes and by its ClauseEnded. Turn scope."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Render(Message):
    """Open the sink. Play and Silence are fed. Session scope."""

    lane: ClassVar[str] = "P"


@_filled
@dataclass(frozen=True, slots=True)
class Play(Message):
    """Sound these samples; the first is due at `at_us` on the session's clock. Fed to the sink, in order of `at_us`."""

    lane: ClassVar[str] = "P"
    bulky: ClassVar[bool] = True
    at_us: int
    clause: int
    first_sample: int
    samples: int
    rate_hz: int
    epoch: int = 0
    pcm: bytes = field(default=b"", repr=False, compare=False)

    def journaled(self) -> Message:
        if not self.pcm:
            return self
        return Play(self.at_us, self.clause, self.first_sample, self.samples, self.rate_hz, self.epoch)

    def of_epoch(self, epoch: int) -> Play:
        """The same, stamped with the reply's epoch."""
        return Play(self.at_us, self.clause, self.first_sample, self.samples, self.rate_hz, epoch, self.pcm)


@dataclass(frozen=True, slots=True)
class Silence(Message):
    """From `at_us` on nothing that was handed over before may sound. Fed to the sink; what it still holds it drops."""

    lane: ClassVar[str] = "P"
    at_us: int


# -- what else leaves the engine, for the journal ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputClosed(Message):
    """Nothing more is fed to the call; its answers are still awaited."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Cancelled(Message):
    """The call is abandoned; what it still gives is stale."""

    lane: ClassVar[str] = "P"


@dataclass(frozen=True, slots=True)
class Fed(Message):
    """So far `count` items were handed on to the call as they came; `digest` is a CRC-32 of them all. One stands for many, for
    as rows of their own they would double a trace."""

    lane: ClassVar[str] = "P"
    count: int
    digest: int
