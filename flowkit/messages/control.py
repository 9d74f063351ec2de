"""Control messages: tools, turn-taking, and the ends of a provider call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from flowkit.messages.message import Message, filled

# -- tools ---------------------------------------------------------------------------------------------------------------


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


# -- turn-taking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interrupt(Message):
    """STOP, DRAIN and RESET every replying stage. Control, gate -> replying stages.

    The envelope carries the new epoch. `early`: what is given up is an answer that was begun early, so nothing of it was
    heard, and nothing of it is remembered.
    """

    lane: ClassVar[str] = "C"
    early: bool = False


@dataclass(frozen=True, slots=True)
class Released(Message):
    """The answer that was begun early is the answer to what was said: it may sound, and its tools may run. Control, gate ->
    replying stages."""

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


@filled
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


@filled
@dataclass(frozen=True, slots=True)
class Timer(Message):
    """A deadline that the stage has set was reached. Control, engine -> stage."""

    lane: ClassVar[str] = "C"
    tag: str


# -- a provider call's own ends ------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Usage(Message):
    """What a call has used so far, as its provider bills it. It replaces what the same attempt reported before. Control,
    provider -> asr, llm or tts.

    The runtime sets `attempt` and `place`; a provider leaves them alone.
    """

    lane: ClassVar[str] = "C"
    input_tokens: int = 0
    cached_tokens: int = 0
    """Those of `input_tokens` that the server had in its cache."""
    output_tokens: int = 0
    characters: int = 0
    """Of text that was sent to be spoken."""
    audio_us: int = 0
    """Length of the audio that was sent to be transcribed, or that was made. Of a voice that does not say, flowkit counts it."""
    estimated: bool = False
    """Whether the provider has counted for itself, because the server does not say."""
    attempt: int = 0
    """Which attempt at the call it was, from 1 on. 0: there is only one."""
    place: int = 0
    """Place of its provider among those of the stage: 0 for the first, then the failover list."""

    @property
    def counts(self) -> dict[str, int]:
        """Each count, by name."""
        return {
            name: getattr(self, name)
            for name in ("input_tokens", "cached_tokens", "output_tokens", "characters", "audio_us")
        }

    def __add__(self, other: Usage) -> Usage:
        mine, others = self.counts, other.counts
        return Usage(**{name: mine[name] + others[name] for name in mine}, estimated=self.estimated or other.estimated)

    def __sub__(self, part: Usage) -> Usage:
        """What is not in `part`; never below 0."""
        mine, others = self.counts, part.counts
        return Usage(**{name: max(0, mine[name] - others[name]) for name in mine}, estimated=self.estimated)


@filled
@dataclass(frozen=True, slots=True)
class Credit(Message):
    """The provider has taken `count` more of the items that it was fed. So a bound counts these too. Control."""

    lane: ClassVar[str] = "C"
    count: int
