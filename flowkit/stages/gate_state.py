"""What the gate remembers between messages, what a client changes of that, and what follows from it alone."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace

from flowkit.messages import Attend, Forget, HeardUntil, Message, Respond, Typed
from flowkit.stages.base import Action, SetTimer
from flowkit.stages.gate_options import Greeting, Idle, Then
from flowkit.stages.interrupting import State, Suspicion
from flowkit.stages.preempting import EarlyAsk
from flowkit.stages.question import Question, without
from flowkit.stages.turn import Event, Turn

IDLE = "idle"
"""The tag of the timer after which the agent speaks up."""


@dataclass(slots=True)
class GateState:
    """`kept`: words of the current utterance. `noted`: what was written and asks for no answer by itself. `utterances`: how many
    have ended. `transcribed`: number of the newest one whose transcript has come, or is not awaited. `withdrawn`: number of an
    utterance that was not an interruption and gets no answer. `suspicion`: the voice that may be interrupting. `ignored`:
    words that did not, and answer what the agent asks, if it does. `nudged`: how often the agent has spoken up since the user
    was last heard. `ending`: the session ends with this reply. `attend`: who takes which turn. `asked`: the reply that a client
    waits for. `draft`: what may be asked before the turn is over."""

    turn: Turn = Turn.LISTENING
    question: Question = field(default_factory=Question)
    kept: str = ""
    noted: str = ""
    utterances: int = 0
    transcribed: int = 0
    withdrawn: int = 0
    suspicion: Suspicion | None = None
    ignored: str = ""
    input_ended: bool = False
    nudged: int = 0
    ending: bool = False
    attend: Attend = field(default_factory=Attend)
    asked: Respond | None = None
    draft: EarlyAsk = field(default_factory=EarlyAsk)


def hear_client(state: GateState, message: Message) -> tuple[()]:
    """What a client says that is no event of a turn."""
    match message:
        case Attend():
            state.attend = message
        case Forget(number=0, text=text):
            state.noted, state.kept = without(state.noted, text), without(state.kept, text)
        case Forget():
            state.question.forget(message)
        # Of an earlier turn the model's stage remembers what was heard.
        case HeardUntil(text=text, number=number) if number in (0, state.question.number):
            state.question.heard = [text] if text else []
        case Typed(text=text):
            state.noted = joined(state.noted, text)
    return ()


def may_be_interrupted(state: GateState) -> bool:
    """Whether the agent has the turn, or is held."""
    return state.turn in (Turn.THINKING, Turn.SPEAKING, Turn.HELD)


def joined(one: str, other: str) -> str:
    """What was said in one turn."""
    return " ".join(part for part in (one, other) if part)


def with_words(state: GateState) -> Event:
    """Words have come. They are answered at once, or kept until a client asks for the reply."""
    return Event.FINAL if state.attend.answers else Event.EMPTY


def without_words(state: GateState, event: Event) -> Event:
    """No words came: `event`, or what that means where a reply was cut off for them."""
    return Event.VAIN if state.turn is Turn.CONCLUDING and state.question.cut_off else event


def if_ended(state: GateState) -> GateState:
    """The state as it will be if the turn ends with what is known now. It shares nothing that a release changes."""
    return replace(state, question=deepcopy(state.question), kept=joined(state.kept, state.draft.text))


def doing(state: GateState, greeting: Greeting | None) -> State:
    """What the agent is doing, which has the turn."""
    # A greeting is always the first turn.
    if greeting is not None and state.question.number == 1:
        return State.GREETING
    if state.turn is Turn.SPEAKING:
        return State.SPEAKING
    return State.TOOL if state.question.acted else State.THINKING


# -- speaking up -------------------------------------------------------------------------------------------------------


def address(state: GateState, greeting: Greeting | None, idle: Idle | None) -> str:
    """What the agent says although nobody asked. It is counted."""
    if greeting is not None and not state.question.number:
        return greeting.text
    state.nudged += 1
    return idle.say if idle is not None else ""


def given_up(state: GateState, idle: Idle | None) -> bool:
    """Whether it has done so often enough."""
    return idle is not None and state.nudged >= idle.times


def await_user(state: GateState, idle: Idle | None, now_us: int) -> list[Action]:
    """Look again later whether the user has said anything."""
    # With `end_session` the timer is still needed after the last time, because it ends the session.
    if idle is None or (state.nudged >= idle.times and idle.then is Then.WAIT):
        return []
    return [SetTimer(now_us + idle.after, IDLE)]
