"""TTS order: one clause at a time to the voice, in order, each with a start and an end mark for playback.

It takes the next clause when the last one's audio has been handed on, so what waits is counted by the queue before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    ClauseStarted,
    Done,
    EndOfReply,
    Failed,
    Fault,
    Message,
    Speak,
    Token,
    WordTimes,
)
from flowkit.stages.base import NOTHING, PROVIDER, Actions, Emit, Open, Stage

_BUSY = frozenset({PROVIDER})


@dataclass(slots=True)
class TtsState:
    """`speaking`: index of the clause whose audio is being made, or None; `samples`: of it so far."""

    speaking: int | None = None
    samples: int = 0


class TtsOrder(Stage[TtsState]):
    """Clauses -> one turn-scoped call each -> audio."""

    kind = "tts"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses", "tokens"), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"audio": "voice", "faults": "progress"}
    replying = True
    call_scope = "turn"

    class Options(opt.Options):
        pass

    def fresh(self) -> TtsState:
        return TtsState()

    def accepts(self, state: TtsState) -> frozenset[str]:
        return self.everything if state.speaking is None else _BUSY

    def step(self, state: TtsState, message: Message, now_us: int) -> Actions:
        match message:
            case Audio():
                state.samples = message.first_sample + message.samples
                return (Emit("audio", message),)
            case WordTimes():
                return (Emit("audio", message),)
            case Clause():
                return self._speak(state, message.index, message.text, message.spoken)
            case Token():
                return self._speak(state, message.index, message.text, message.text)
            case Done():
                return self._ended(state)
            case Failed():
                return [Emit("faults", Fault(self.kind, message.what)), *self._ended(state)]
            case EndOfReply():
                return (Emit("audio", message),)
        return NOTHING

    def _speak(self, state: TtsState, index: int, text: str, spoken: str) -> Actions:
        started = Emit("audio", ClauseStarted(index, text))
        if not spoken.strip():
            return (started, Emit("audio", ClauseEnded(index, 0)))
        state.speaking, state.samples = index, 0
        return (started, Open(Speak(index, spoken)))

    def _ended(self, state: TtsState) -> list[Emit]:
        index, state.speaking = state.speaking, None
        return [] if index is None else [Emit("audio", ClauseEnded(index, state.samples))]
