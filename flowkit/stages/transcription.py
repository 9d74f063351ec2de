"""The ASR's stage: feeds frames and end marks in band, passes transcripts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import (
    Done,
    EndOfUtterance,
    Failed,
    Fault,
    Final,
    Frames,
    InputEnded,
    Message,
    Partial,
    SpeechStarted,
    SpeechStopped,
    Transcribe,
)
from flowkit.stages.base import AGAIN, NOTHING, Actions, Emit, Feed, Open, Stage, gone, new


@dataclass(slots=True)
class TranscriptionState:
    """`owed`: utterances whose final transcript is still to come. `ended`: the end of the input, kept until none is
    owed."""

    owed: int = 0
    ended: InputEnded | None = None


class Transcription(Stage[TranscriptionState]):
    """An end of utterance goes to the ASR after its last frame. The answer is one Final."""

    kind = "asr"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {
        "audio": ("audio",),
        "endpoint": ("endpoint",),
        "end": ("end",),
        "speech": ("speech",),
    }
    outputs: ClassVar[dict[str, str]] = {"transcript": "transcript", "faults": "progress"}
    call_keys = AGAIN | {"first_item_timeout"}
    """Within the first: from an end of utterance to its final transcript. Between two there is no time to speak of."""

    class Options(opt.Options):
        pass

    def fresh(self) -> TranscriptionState:
        return TranscriptionState()

    def begin(self, state: TranscriptionState) -> Actions:
        return (Open(Transcribe()),)

    def step(self, state: TranscriptionState, message: Message, now_us: int) -> Actions:
        kind = type(message)
        if kind is Frames or kind is SpeechStarted or kind is SpeechStopped:
            return (new(Feed, (message,)),)
        if isinstance(message, Partial):
            return (Emit("transcript", message),)
        if isinstance(message, EndOfUtterance):
            state.owed += 1
            return (Feed(message),)
        if isinstance(message, Final):
            # Without a VAD the ASR gives finals by its own decision, and none of them was owed.
            state.owed = max(0, state.owed - 1)
            return [Emit("transcript", message), *self._ended(state)]
        if isinstance(message, InputEnded):
            state.ended = message
            return self._ended(state)
        if isinstance(message, (Failed, Done)):
            return (Emit("faults", Fault("asr", gone(message, "transcriber"))),)
        return NOTHING

    def _ended(self, state: TranscriptionState) -> Actions:
        # The end must not overtake the transcript of the last utterance.
        if state.ended is None or state.owed:
            return NOTHING
        ended, state.ended = state.ended, None
        return (Emit("transcript", ended),)
