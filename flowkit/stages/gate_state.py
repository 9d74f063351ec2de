"""What the gate remembers between messages, and what a client changes of that."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowkit.messages import Attend, Forget, HeardUntil, Message, Respond, Typed
from flowkit.stages.interrupting import Suspicion
from flowkit.stages.question import Question, without
from flowkit.stages.turn import Turn


@dataclass(slots=True)
class GateState:
    """`kept`: words of the current utterance. `noted`: what was written and asks for no answer by itself. `withdrawn`: number of
    an utterance that was not an interruption and gets no answer. `suspicion`: the voice that may be interrupting. `ignored`:
    words that did not, and answer what the agent asks, if it does. `nudged`: how often the agent has spoken up since the user
    was last heard. `ending`: the session ends with this reply. `attend`: who takes which turn. `asked`: the reply that a client
    waits for."""

    turn: Turn = Turn.LISTENING
    question: Question = field(default_factory=Question)
    kept: str = ""
    noted: str = ""
    utterances: int = 0
    withdrawn: int = 0
    suspicion: Suspicion | None = None
    ignored: str = ""
    input_ended: bool = False
    nudged: int = 0
    ending: bool = False
    attend: Attend = field(default_factory=Attend)
    asked: Respond | None = None


def hear_client(state: GateState, message: Message) -> tuple[()]:
    """What a client says that is no event of a turn."""
    match message:
        case Attend():
            state.attend = message
        case Forget(number=0, text=text):
            state.noted, state.kept = without(state.noted, text), without(state.kept, text)
        case Forget():
            state.question.forget(message)
        case HeardUntil(text=text):
            state.question.heard = [text] if text else []
        case Typed(text=text):
            state.noted = joined(state.noted, text)
    return ()


def joined(one: str, other: str) -> str:
    """What was said in one turn."""
    return " ".join(part for part in (one, other) if part)
