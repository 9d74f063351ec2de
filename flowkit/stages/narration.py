"""TTS order for a voice that takes a whole reply in one call: clauses are fed as they come, so that it can speak
without a break.

The call is opened by the first clause of the reply and ends after its last. The clauses that are fed and not yet spoken
are bounded twice: by the call's window until the voice takes them, and by how many it takes ahead of what it speaks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    Commit,
    Done,
    EndOfReply,
    EndOfStep,
    Failed,
    Fault,
    Filler,
    Message,
    Mute,
    Narrate,
    Revoke,
    Speak,
    Token,
    WordTimes,
)
from flowkit.stages.base import (
    AGAIN,
    DEADLINES,
    NOTHING,
    PROVIDER,
    Action,
    Actions,
    Cancel,
    Emit,
    EndInput,
    Feed,
    Open,
    Stage,
)
from flowkit.stages.tts import MOST_FAILED, TtsOrder, clause_of, start_of
from flowkit.stages.unspoken import FirstWord


class Phase(Enum):
    """What the call of the reply is doing."""

    IDLE = auto()
    """There is none."""
    PROVISIONAL = auto()
    """Its only clause is provisional: no audio is taken before the verdict."""
    SPEAKING = auto()
    ENDING = auto()
    """The end of the reply is known. It is passed on when everything is spoken."""


@dataclass(slots=True)
class NarrationState:
    """`clauses`: fed and not yet ended, the one being spoken first, with the ends of steps in their place. `begun`: the one that
    has its start mark, with `samples` so far. `verdict`: one that came before its clause. `failed`: calls of this reply.
    `first`: its first word. `muted`: nothing is spoken."""

    phase: Phase = Phase.IDLE
    clauses: deque[Clause | EndOfStep] = field(default_factory=deque)
    begun: int | None = None
    samples: int = 0
    verdict: Commit | Revoke | None = None
    failed: int = 0
    first: FirstWord = field(default_factory=FirstWord)
    muted: bool = False


_ACCEPTS = {Phase.PROVISIONAL: frozenset[str](), Phase.ENDING: frozenset({PROVIDER})}


class Narration(Stage[NarrationState]):
    """Clauses -> one turn-scoped call per reply -> audio, with a start and an end mark for each clause."""

    kind = "tts"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = TtsOrder.inputs
    outputs: ClassVar[dict[str, str]] = TtsOrder.outputs
    replying = True
    call_scope = "turn"
    call_keys = DEADLINES | AGAIN

    class Options(opt.Options):
        pass

    def fresh(self) -> NarrationState:
        return NarrationState()

    def reset(self, state: NarrationState) -> NarrationState:
        return NarrationState(muted=state.muted)

    def accepts(self, state: NarrationState) -> frozenset[str]:
        return _ACCEPTS.get(state.phase, self.everything)

    def step(self, state: NarrationState, message: Message, now_us: int) -> Actions:
        match message:
            case Audio(clause=index):
                state.samples = message.first_sample + message.samples
                return [*self._begin(state, index), Emit("audio", message)]
            case WordTimes(clause=index):
                return [*self._begin(state, index), Emit("audio", message)]
            case ClauseEnded(clause=index):
                return self._clause_ended(state, index, message)
            case Clause():
                return self._clause(state, message)
            case Token() | Filler():
                return self._clause(state, clause_of(message, state.first))
            case Commit() | Revoke():
                return self._judge(state, message)
            case EndOfReply():
                return self._end(state)
            case EndOfStep():
                state.clauses.append(message)
                return self._steps(state)
            case Mute(on=on):
                state.muted = on
            case Done() if not state.clauses:
                return self._over(state)
            case Done():
                return self._failed(state, "the voice stopped before it had said everything")
            case Failed(what=what):
                return self._failed(state, what)
        return NOTHING

    def _clause(self, state: NarrationState, clause: Clause) -> Actions:
        verdict, state.verdict = state.verdict, None
        # The verdict is control and has overtaken its clause.
        if clause.provisional and isinstance(verdict, Revoke):
            return NOTHING
        if state.failed >= MOST_FAILED:
            return NOTHING
        provisional = clause.provisional and verdict is None
        if state.muted and state.phase is Phase.IDLE:
            if not provisional:
                return _silent(clause)
            state.phase = Phase.PROVISIONAL
            state.clauses.append(clause)
            return NOTHING
        opened = [Open(Narrate())] if state.phase is Phase.IDLE else []
        state.phase = Phase.PROVISIONAL if provisional else Phase.SPEAKING
        state.clauses.append(clause)
        return [*opened, Feed(Speak(clause.index, clause.spoken))]

    def _judge(self, state: NarrationState, verdict: Commit | Revoke) -> Actions:
        """Commit: the provisional clause becomes an ordinary one. Revoke: nothing else was fed, so its call is
        abandoned."""
        # Control overtakes data, so its clause may still wait in the queue.
        if state.phase is not Phase.PROVISIONAL:
            state.verdict = verdict
            return NOTHING
        if isinstance(verdict, Commit) and not state.muted:
            state.phase = Phase.SPEAKING
            return NOTHING
        clause = state.clauses.popleft()
        state.phase = Phase.IDLE
        silent = _silent(clause) if isinstance(verdict, Commit) and isinstance(clause, Clause) else []
        return (Cancel(), *silent)

    def _begin(self, state: NarrationState, index: int) -> list[Action]:
        if state.begun is not None or not state.clauses:
            return []
        state.begun = index
        clause = state.clauses[0]
        return [start_of(clause)] if isinstance(clause, Clause) else []

    def _clause_ended(self, state: NarrationState, index: int, message: Message) -> Actions:
        started = self._begin(state, index)
        if state.clauses:
            state.clauses.popleft()
        state.begun, state.samples = None, 0
        return [*started, Emit("audio", message), *self._steps(state)]

    def _steps(self, state: NarrationState) -> list[Action]:
        """The ends of steps whose clauses have all been spoken."""
        actions: list[Action] = []
        while state.clauses and isinstance(state.clauses[0], EndOfStep):
            actions.append(Emit("audio", state.clauses.popleft()))
        return actions

    def _end(self, state: NarrationState) -> Actions:
        state.failed, state.first = 0, FirstWord()
        if state.phase is Phase.IDLE:
            return (Emit("audio", EndOfReply()),)
        state.phase = Phase.ENDING
        return (EndInput(),)

    def _failed(self, state: NarrationState, what: str) -> list[Action]:
        state.failed += 1
        return [Emit("faults", Fault(self.kind, what)), *self._over(state)]

    def _over(self, state: NarrationState) -> list[Action]:
        """The call has ended, with or without a fault. A clause that broke off has its end mark. What it left unsaid
        was never heard and has none."""
        ended = Emit("audio", EndOfReply())
        actions: list[Action] = [ended] if state.phase is Phase.ENDING else []
        actions[:0] = [Emit("audio", item) for item in state.clauses if isinstance(item, EndOfStep)]
        if state.begun is not None:
            actions.insert(0, Emit("audio", ClauseEnded(state.begun, state.samples, whole=False)))
        state.clauses.clear()
        state.phase, state.begun, state.samples = Phase.IDLE, None, 0
        return actions


def _silent(clause: Clause) -> list[Action]:
    """The marks of a clause that no voice is asked for."""
    return [start_of(clause), Emit("audio", ClauseEnded(clause.index, 0))]
