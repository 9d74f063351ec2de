"""Endpointing: from speech probabilities to speech started, paused, and end of utterance.

It counts frames instead of using timers, so that a replay with another silence decides as a live session would have.
The provider only says how likely speech is. Every threshold is here and can be changed on replay.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from typing import ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import (
    Attend,
    ClearInput,
    CommitInput,
    Detect,
    Done,
    EndOfUtterance,
    Failed,
    Fault,
    Frames,
    InputEnded,
    Message,
    Prediction,
    Probability,
    SpeechLasted,
    SpeechStarted,
    SpeechStopped,
)
from flowkit.stages.base import NOTHING, Actions, Emit, Feed, Open, Stage, gone, new


class Voice(Enum):
    """The state of the user's voice."""

    QUIET = auto()
    RISING = auto()
    """Voiced, but for less than `start`."""
    SPEECH = auto()
    PAUSED = auto()
    """Silent for `pause`, not yet for `end`."""
    CUT = auto()
    """The utterance was ended for its length. Whether there is voice for a next one is not known yet."""


class Completeness(StrEnum):
    """How complete the user's turn is taken to be."""

    COMPLETE = "complete"
    UNSURE = "unsure"
    """No predictor is certain, or none has judged the last words yet."""
    INCOMPLETE = "incomplete"


LONGEST = "longest"
"""Why an utterance ended that was ended for its length."""


class Silences(opt.Options):
    """The silence that ends an utterance, by what the stages of kind `turn` say. The most certain of them decides."""

    complete: opt.Duration = opt.us("200ms")
    """If the turn is complete."""
    unsure: opt.Duration = opt.us("500ms")
    """If that is not certain, or not known yet."""
    incomplete: opt.Duration = opt.us("1200ms")
    """If the user is likely to go on."""
    likely: float = Field(0.7, ge=0.5, le=1)
    """A turn is complete from this probability on."""
    unlikely: float = Field(0.3, ge=0, le=0.5)
    """A turn is incomplete up to this probability."""

    def judged(self, p: float) -> Completeness:
        """What a probability means."""
        if p >= self.likely:
            return Completeness.COMPLETE
        return Completeness.INCOMPLETE if p <= self.unlikely else Completeness.UNSURE

    def after(self, judged: Completeness) -> int:
        """The silence in microseconds."""
        return {
            Completeness.COMPLETE: self.complete,
            Completeness.UNSURE: self.unsure,
            Completeness.INCOMPLETE: self.incomplete,
        }[judged]


def least(end: int | Silences) -> int:
    """The shortest silence, in microseconds, that may end an utterance."""
    return end if isinstance(end, int) else min(map(end.after, Completeness))


UNCLEAR_US = 1_000_000
"""How long a voice must last at least to interrupt if it does not reach `level`."""
_QUIET, _VOICED = Voice.QUIET, (Voice.SPEECH, Voice.CUT)
# Looked up once, because it is needed for every frame.
_FIXED, _NO_ANSWER = ("", "", 0.0), Prediction(0.5, "")


@dataclass(slots=True)
class EndpointingState:
    """`threshold`, `release` and `end`: the options, or what a client wants instead. `since`: first frame of the utterance. `rise`:
    first frame of voice that may be too short to count. `noticed`: frame at which the voice was reported, until all its
    lengths were. `lasted`: how many of them were. `clear`: it has reached `level`. `last_voiced`: newest voiced frame.
    `newest`: newest frame. `ends_at`: the frame at which the input ends, if known. `predicted`: the newest answer of each
    predictor."""

    threshold: float
    release: float
    end: int | Silences
    detects: bool = True
    voice: Voice = Voice.QUIET
    newest: int = -1
    since: int = 0
    rise: int | None = None
    noticed: int | None = None
    lasted: int = 0
    clear: bool = False
    last_voiced: int = -1
    utterances: int = 0
    ends_at: int | None = None
    predicted: dict[str, Prediction] = field(default_factory=dict)


class Endpointing(Stage[EndpointingState]):
    """Frames are fed to the VAD. Its probabilities become speech events."""

    kind = "vad"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"audio": ("audio",), "end": ("end",), "prediction": ("prediction",)}
    outputs: ClassVar[dict[str, str]] = {"speech": "speech", "endpoint": "endpoint", "faults": "progress"}

    class Options(opt.Options):
        start: opt.Duration = opt.us("60ms")
        """How long a voice must last before it counts as speech."""
        pause: opt.Duration = opt.us("100ms")
        """Silence after which a pause is reported (a short noise is over)."""
        speech_for: opt.Duration = opt.us("120ms")
        """How long a voice must last, from its detection, to interrupt the agent; a shorter one is withdrawn."""
        level: float | None = Field(None, ge=0, le=1)
        """Probability that a voice must reach to interrupt the agent, unless it lasts for a second. A hum ("mhm") stays
        below it with some VADs. By default 0.95 where words decide about interruptions, else 0."""
        lengths: tuple[opt.Duration, ...] = ()
        """Other lengths of a voice, from its detection, that are reported to the gate. Those that it asks for are added."""
        end: opt.Duration | Silences = opt.us("400ms")
        """Silence that ends an utterance; the largest part of the delay of most answers. A duration, or several by how
        complete the turn seems: `{complete: 200ms, unsure: 500ms, incomplete: 1200ms}`, with a stage of kind `turn`."""
        longest: opt.Duration = opt.us("30s")
        """An utterance that has lasted this long is ended: the user does not stop, or there is a noise. A voice that
        continues for `start` is the next one."""
        threshold: float = Field(0.5, ge=0, le=1)
        """Probability from which a frame counts as voiced."""
        release: float = Field(0.35, ge=0, le=1)
        """While speaking, a frame stays voiced down to this probability (hysteresis)."""

    def __init__(self, options: Options, frame_us: int = 20_000) -> None:
        super().__init__(options, frame_us)
        # Rounded up: decisions fall on whole frames, and none may come before `longest`.
        self._longest = -(-options.longest // frame_us)
        self._level = options.level or 0.0
        # What is reported of a voice: after how long, and as what. A length counts only behind the one before it.
        self._lengths = [(options.speech_for, 0), *((us, us) for us in sorted(set(options.lengths)))]
        self._lengths.sort()

    def fresh(self) -> EndpointingState:
        return EndpointingState(self.options.threshold, self.options.release, self.options.end)

    def begin(self, state: EndpointingState) -> Actions:
        return (Open(Detect()),)

    def step(self, state: EndpointingState, message: Message, now_us: int) -> Actions:
        kind = type(message)
        # First, because most messages are frames or their probabilities.
        if kind is Frames:
            state.newest = message.index + message.count - 1  # type: ignore[attr-defined]
            fed = new(Feed, (message,))
            return (fed,) if state.detects or state.voice is not _QUIET else (fed, self._begun(state, message))
        if kind is Probability:
            return self._heard(state, message.frame, message.p)  # type: ignore[attr-defined]
        if isinstance(message, (CommitInput, ClearInput)):
            return self._ended(state, dropped=isinstance(message, ClearInput))
        if isinstance(message, Attend):
            return self._attend(state, message)
        if isinstance(message, InputEnded):
            state.ends_at = message.frame
        if isinstance(message, Prediction):
            # Of a transcript whose extent is not known, what has been said by now is taken to be in it.
            until = state.last_voiced if message.until < 0 else message.until
            state.predicted[message.by] = replace(message, until=until)
        if isinstance(message, (Failed, Done)):
            return (Emit("faults", Fault("vad", gone(message, "voice detector"))),)
        return NOTHING

    # -- by a client --------------------------------------------------------------------------------------------------

    def _attend(self, state: EndpointingState, wish: Attend) -> Actions:
        """What a client wants. What was said so far is an utterance, unless it is the VAD that goes on listening."""
        options = self.options
        state.threshold, state.end = wish.threshold or options.threshold, wish.end_us or options.end
        state.release = min(options.release, state.threshold)
        if wish.detects is state.detects:
            return NOTHING
        ended = self._ended(state, dropped=wish.detects)
        state.detects = wish.detects
        return ended

    def _begun(self, state: EndpointingState, frames: Message) -> Emit:
        """Without detection every frame belongs to an utterance. The ASR has to know where it begins."""
        assert isinstance(frames, Frames)
        state.voice, state.since = Voice.SPEECH, frames.index
        return Emit("speech", SpeechStarted(frames.index))

    def _ended(self, state: EndpointingState, *, dropped: bool) -> Actions:
        """The utterance ends with the newest frame. Does nothing if there is none."""
        if state.voice is _QUIET:
            return NOTHING
        state.utterances += 1
        state.voice, state.rise = _QUIET, None
        return (Emit("endpoint", EndOfUtterance(state.utterances, state.newest, dropped)),)

    # -- by the VAD ---------------------------------------------------------------------------------------------------

    def _heard(self, state: EndpointingState, frame: int, p: float) -> Actions:
        voice = state.voice
        if not state.detects:
            return NOTHING
        if p >= (state.release if voice in _VOICED else state.threshold):
            # A new voice begins with what it is itself.
            state.clear = p >= self._level or (state.clear and voice not in (_QUIET, Voice.PAUSED))
            actions = self._voiced(state, frame)
        else:
            actions = NOTHING if voice is _QUIET else self._silent(state, frame)
        return actions if state.ends_at is None else [*actions, *self._end_of_input(state, frame)]

    def _voiced(self, state: EndpointingState, frame: int) -> Actions:
        was, state.last_voiced = state.voice, frame
        if was in (Voice.QUIET, Voice.RISING, Voice.CUT):
            state.rise = frame if state.rise is None else state.rise
            if was is Voice.QUIET:
                state.voice, state.since = Voice.RISING, frame
            if (frame - state.rise + 1) * self.frame_us < self.options.start:
                return NOTHING
        state.voice, state.rise = Voice.SPEECH, None
        if was is Voice.SPEECH and state.noticed is None and frame < self._last_of(state):
            return NOTHING
        return [*self._started(state, frame, was), *self._lasted(state, frame), *self._cut(state, frame)]

    def _started(self, state: EndpointingState, frame: int, was: Voice) -> Actions:
        if was is Voice.SPEECH:
            return NOTHING
        # A voice that goes on after a cut was noticed before it.
        if was is not Voice.CUT:
            state.noticed, state.lasted = frame, 0
        # After a pause the utterance is the same, and only its voice begins again here.
        started = frame if was is Voice.PAUSED else state.since
        return (Emit("speech", SpeechStarted(started, goes_on=was is Voice.CUT)),)

    def _lasted(self, state: EndpointingState, frame: int) -> list[Emit]:
        if state.noticed is None:
            return []
        lasted_us, reached = (frame - state.noticed) * self.frame_us, list[Emit]()
        while state.lasted < len(self._lengths) and (state.clear or lasted_us >= UNCLEAR_US):
            least_us, named_us = self._lengths[state.lasted]
            if lasted_us < least_us:
                return reached
            state.lasted += 1
            reached.append(Emit("speech", SpeechLasted(frame, named_us)))
        if state.lasted == len(self._lengths):
            state.noticed = None
        return reached

    def _last_of(self, state: EndpointingState) -> int:
        """The frame at which the utterance has lasted for `longest`."""
        return state.since + self._longest - 1

    def _cut(self, state: EndpointingState, frame: int) -> Actions:
        """An utterance that is long enough ends although the voice goes on. The next one begins after it, if there is
        enough voice."""
        if frame < self._last_of(state):
            return NOTHING
        state.utterances += 1
        state.voice, state.since = Voice.CUT, frame + 1
        return (Emit("endpoint", EndOfUtterance(state.utterances, frame, why=LONGEST)),)

    def _silent(self, state: EndpointingState, frame: int) -> Actions:
        # Only an unbroken voice counts. So `start` begins again after each silent frame.
        state.rise = None
        if state.voice is Voice.RISING:
            state.voice = Voice.QUIET
            return NOTHING
        silence_us = (frame - state.last_voiced) * self.frame_us
        least_us, why = self._least(state)
        ended = silence_us >= least_us
        # Its utterance has ended already, at the cut. So only the voice is over.
        if state.voice is Voice.CUT:
            state.voice = Voice.QUIET if ended else Voice.CUT
            return (Emit("speech", SpeechStopped(state.last_voiced)),) if ended else NOTHING
        actions: list[Emit] = []
        # `end` may be shorter than `pause`, and even then each end comes after a pause.
        if state.voice is Voice.SPEECH and silence_us >= min(self.options.pause, least(state.end)):
            state.voice = Voice.PAUSED
            actions.append(Emit("speech", SpeechStopped(state.last_voiced)))
        if ended:
            state.voice = Voice.QUIET
            state.utterances += 1
            actions.append(Emit("endpoint", EndOfUtterance(state.utterances, state.last_voiced, False, *why)))
        return actions

    def _least(self, state: EndpointingState) -> tuple[int, tuple[str, str, float]]:
        """The silence that ends the utterance, as far as is known now, and why: an EndOfUtterance's `why`, `by` and `p`."""
        if isinstance(state.end, int):
            return state.end, _FIXED
        # An answer that does not know the last words says nothing about them.
        known = [answer for answer in state.predicted.values() if answer.until >= state.last_voiced]
        best = max(known, key=lambda answer: abs(answer.p - 0.5), default=_NO_ANSWER)
        judged = state.end.judged(best.p)
        return state.end.after(judged), (judged.value, best.by, best.p)

    def _end_of_input(self, state: EndpointingState, frame: int) -> Actions:
        """The end of a file counts only once its last utterance has ended, as it would have on a microphone."""
        if state.ends_at is None or frame + 1 < state.ends_at or state.voice in (Voice.SPEECH, Voice.PAUSED):
            return NOTHING
        ended, state.ends_at = state.ends_at, None
        return (Emit("endpoint", InputEnded(ended)),)
