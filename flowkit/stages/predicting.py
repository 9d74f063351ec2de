"""Predicting: what was said so far goes to an end-of-turn predictor, and its answer to the VAD's stage, which decides.

A predictor can only shorten or lengthen the silence that ends an utterance. One that is slow, wrong or gone leaves the
turn to silence, so nothing here waits and no failure ends anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import (
    Done,
    EndOfUtterance,
    Failed,
    Frames,
    Heard,
    Message,
    Partial,
    Predict,
    Prediction,
    SpeechStarted,
    SpeechStopped,
    TurnSoFar,
)
from flowkit.stages.base import NOTHING, Actions, Emit, Feed, Open, Stage

_ASKED = 400
"""How many characters of what the agent said last are kept. Its question stands at the end."""


@dataclass(slots=True)
class PredictingState:
    """`asked`: the end of what was heard of the agent's last reply. `busy`: the predictor owes an answer, or is gone. `newest`:
    what it is asked next. An older transcript is out of date, so one place is enough."""

    asked: str = ""
    busy: bool = False
    newest: TurnSoFar | None = None


class Predicting(Stage[PredictingState]):
    """Partial transcripts are judged one at a time. If one comes meanwhile, only the newest waits."""

    kind = "turn"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"transcript": ("transcript",), "progress": ("progress",)}
    outputs: ClassVar[dict[str, str]] = {"prediction": "prediction"}
    call_keys: ClassVar[frozenset[str]] = frozenset()
    """Silence is the deadline of a predictor."""

    class Options(opt.Options):
        pass

    def fresh(self) -> PredictingState:
        return PredictingState()

    def reset(self, state: PredictingState) -> PredictingState:
        return state

    def begin(self, state: PredictingState) -> Actions:
        return (Open(Predict()),)

    def step(self, state: PredictingState, message: Message, now_us: int) -> Actions:
        match message:
            case Heard(clause=clause, text=text):
                state.asked = (text if clause == 0 else state.asked + text)[-_ASKED:]
            case Partial(text=text, until=until):
                state.newest = TurnSoFar(text, state.asked, until)
                return self._next(state)
            case Prediction():
                state.busy = False
                return [Emit("prediction", message), *self._next(state)]
            case Failed() | Done():
                state.busy = True
        return NOTHING

    def _next(self, state: PredictingState) -> Actions:
        if state.busy or state.newest is None:
            return NOTHING
        item, state.newest, state.busy = state.newest, None, True
        return (Feed(item),)


class PredictingBySound(Predicting):
    """The same for a predictor that hears the microphone. It knows itself what it is asked: at each pause it judges."""

    inputs: ClassVar[dict[str, tuple[str, ...]]] = {
        "audio": ("audio",),
        "endpoint": ("endpoint",),
        "speech": ("speech",),
    }
    queue_max = 50

    def step(self, state: PredictingState, message: Message, now_us: int) -> Actions:
        match message:
            case Prediction():
                return (Emit("prediction", message),)
            case Failed() | Done():
                state.busy = True
            case Frames() | SpeechStarted() | SpeechStopped() | EndOfUtterance() if not state.busy:
                return (Feed(message),)
        return NOTHING
