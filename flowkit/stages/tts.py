"""TTS order: one clause at a time to the voice, in order, each with a start and an end mark for playback.

It takes the next clause when the audio of the last one has been passed on, so everything that waits is in the queue
before it. The audio of a provisional clause is made at once but stays with its provider until the verdict. If the
clause is revoked, the audio was never here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    ClauseStarted,
    Commit,
    Done,
    EndOfReply,
    EndOfStep,
    Failed,
    Fault,
    Filler,
    Message,
    Mute,
    Revoke,
    Speak,
    Token,
    WordTimes,
)
from flowkit.stages.base import AGAIN, DEADLINES, NOTHING, PROVIDER, Actions, Cancel, Emit, Open, Stage, new
from flowkit.stages.chunking import FILLER
from flowkit.stages.unspoken import FirstWord

MOST_FAILED = 3
"""After this many failed calls in a reply, the voice is not asked for the rest. A voice that breaks off at every clause
would be paid for each, and what it gives of them is not a reply."""
_BUSY = frozenset({PROVIDER})
_NOTHING_YET: frozenset[str] = frozenset()


@dataclass(slots=True)
class TtsState:
    """`speaking`: the clause whose audio is being made, or None. `samples`: of it so far. `verdict`: one that came
    before its clause. `provisional`: the clause is provisional. `failed`: calls of this reply. `first`: its first
    word. `muted`: nothing is spoken."""

    speaking: Clause | None = None
    samples: int = 0
    verdict: Commit | Revoke | None = None
    provisional: bool = False
    failed: int = 0
    first: FirstWord = field(default_factory=FirstWord)
    muted: bool = False


class TtsOrder(Stage[TtsState]):
    """Clauses -> one turn-scoped call each -> audio."""

    kind = "tts"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {
        "clauses": ("clauses", "tokens"),
        "verdict": ("verdict",),
        "turn": ("turn",),
    }
    outputs: ClassVar[dict[str, str]] = {"audio": "voice", "faults": "progress"}
    replying = True
    call_scope = "turn"
    call_keys = DEADLINES | AGAIN

    class Options(opt.Options):
        pass

    def fresh(self) -> TtsState:
        return TtsState()

    def reset(self, state: TtsState) -> TtsState:
        return TtsState(muted=state.muted)

    def accepts(self, state: TtsState) -> frozenset[str]:
        if state.provisional:
            return _NOTHING_YET
        return self.everything if state.speaking is None else _BUSY

    def step(self, state: TtsState, message: Message, now_us: int) -> Actions:
        match message:
            case Audio():
                state.samples = message.first_sample + message.samples
                return (new(Emit, ("audio", message)),)
            case WordTimes():
                return (Emit("audio", message),)
            case Clause():
                return self._speak(state, message)
            case Token() | Filler():
                return self._speak(state, clause_of(message, state.first))
            case Commit() | Revoke():
                return self._judge(state, message)
            case Done():
                return self._ended(state)
            case Failed():
                state.failed += 1
                return [Emit("faults", Fault(self.kind, message.what)), *self._ended(state, whole=False)]
            case EndOfReply():
                state.failed, state.first = 0, FirstWord()
                return (Emit("audio", message),)
            case EndOfStep():
                return (Emit("audio", message),)
            case Mute(on=on):
                state.muted = on
        return NOTHING

    def _speak(self, state: TtsState, clause: Clause) -> Actions:
        verdict, state.verdict = state.verdict, None
        # The verdict is control and has overtaken its clause.
        if clause.provisional and isinstance(verdict, Revoke):
            return NOTHING
        state.provisional = clause.provisional and verdict is None
        started = [] if state.provisional else [start_of(clause)]
        if state.muted and state.provisional:
            state.speaking = clause  # its marks follow at the verdict
            return NOTHING
        # Playback needs both marks even so, but no voice is asked for silence.
        if state.muted or not clause.spoken.strip():
            return [*started, Emit("audio", ClauseEnded(clause.index, 0))]
        if state.failed >= MOST_FAILED:
            return [*started, Emit("audio", ClauseEnded(clause.index, 0, whole=False))]
        state.speaking, state.samples = clause, 0
        return [*started, Open(Speak(clause.index, clause.spoken))]

    def _judge(self, state: TtsState, verdict: Commit | Revoke) -> Actions:
        """Commit: the provisional clause becomes an ordinary one. Revoke: its call is abandoned."""
        clause = state.speaking
        # Control overtakes data, so its clause may still wait in the queue.
        if clause is None or not state.provisional:
            state.verdict = verdict
            return NOTHING
        state.provisional = False
        if isinstance(verdict, Commit):
            # A voice that was asked before the client wanted none is abandoned.
            return (start_of(clause), Cancel(), *self._ended(state)) if state.muted else (start_of(clause),)
        state.speaking = None
        return (Cancel(),)

    def _ended(self, state: TtsState, *, whole: bool = True) -> list[Emit]:
        clause, state.speaking, state.provisional = state.speaking, None, False
        return [] if clause is None else [Emit("audio", ClauseEnded(clause.index, state.samples, whole))]


def clause_of(token: Token | Filler, first: FirstWord) -> Clause:
    """A token or a filler as a clause, in a pipeline without a chunker. Before the `first` word of the reply a token is not
    spoken."""
    if isinstance(token, Filler):
        return Clause(token.index, "", token.text, 1, FILLER)
    return Clause(token.index, token.text, token.text if first.feed(token.text) else "", 1, "token")


def start_of(clause: Clause) -> Emit:
    """The mark before the clause's audio."""
    return Emit("audio", ClauseStarted(clause.index, clause.text, clause.spoken, clause.marks))
