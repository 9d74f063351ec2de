"""The listening side: device, VAD, ASR."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from flowkit.messages.message import Message, filled


@filled
@dataclass(frozen=True, slots=True)
class Frames(Message):
    """`count` consecutive microphone frames (20 ms each unless configured) from index `index` on. Data, device -> vad
    and asr."""

    lossy: ClassVar[bool] = True
    index: int
    count: int
    pcm: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class InputEnded(Message):
    """The source has no more speech after `frame` frames (the end of a file). Silence may follow. Data, a marker."""

    frame: int


@filled
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
class SpeechLasted(Message):
    """The user's voice is clear and has lasted for `lasted_us` since it was noticed, up to frame `frame`. It may interrupt the
    agent. Control, vad -> gate, at most once for each length after each SpeechStarted. `lasted_us`: 0 is `speech_for`."""

    lane: ClassVar[str] = "C"
    frame: int
    lasted_us: int = 0


@dataclass(frozen=True, slots=True)
class SpeechStopped(Message):
    """The user's voice paused after frame `last_voiced`. The utterance has not ended yet. Control, vad -> gate."""

    lane: ClassVar[str] = "C"
    last_voiced: int


@dataclass(frozen=True, slots=True)
class EndOfUtterance(Message):
    """Utterance number `utterance` ended with frame `last_voiced`: the silence after it lasted long enough. Data, a
    marker, vad -> asr and gate. `dropped`: it does not count.

    `why`: ``longest``, or how complete the turn was taken to be (a ``Completeness``); empty if one silence ends every
    utterance. `by`: the predictor that decided, with its probability `p`; empty if none had answered.
    """

    utterance: int
    last_voiced: int
    dropped: bool = False
    why: str = ""
    by: str = ""
    p: float = 0.0


@filled
@dataclass(frozen=True, slots=True)
class Partial(Message):
    """The transcript so far, which replaces the one before. Shown, never sent to the LLM. Data, asr -> gate.

    `until`: the last frame that it covers; -1 if the ASR does not tell.
    """

    text: str
    until: int = -1


@dataclass(frozen=True, slots=True)
class Prediction(Message):
    """How likely the user's turn has ended, `p` from 0 to 1, as predictor `by` judges the speech up to frame `until` (-1:
    unknown). Control, provider -> turn -> vad."""

    lane: ClassVar[str] = "C"
    p: float
    by: str
    until: int = -1


@dataclass(frozen=True, slots=True)
class Final(Message):
    """The final transcript of utterance `utterance`; empty if nothing was said. Data, asr -> gate."""

    text: str
    utterance: int


@dataclass(frozen=True, slots=True)
class Typed(Message):
    """Text in place of speech: a typed line. Data, text source -> gate. `waits`: it is part of what is answered next, and asks for
    no answer by itself."""

    text: str
    waits: bool = False
