"""The LLM's turn: one utterance in, turn-scoped calls one after another, their tokens out, an end marker after the last.

Only tokens for the listener go on (``unspoken``). The history is what the user heard, unless the file says otherwise:
each utterance carries what was heard of the reply before it. A request is repeated once, either with less history
because it was refused for its length, or because the reply has no words. There is no third request.

A reply may call tools. Then its request ends a *step*: the calls go to the tools, and when every outcome is there, the
model is asked again, with the steps so far. An outcome that comes after an interrupt finds its call in the history.
Calls leave only when the provider has finished, so that a request that fails half-way and is made again, here or by
another provider, has called nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from pydantic import Field

from flowkit import history
from flowkit import options as opt
from flowkit.messages import (
    Ask,
    Called,
    Done,
    EndOfReply,
    EndOfStep,
    Exchange,
    Failed,
    Fault,
    Filler,
    Final,
    Forget,
    HeardUntil,
    Instruct,
    Message,
    Released,
    Remember,
    ReplyStep,
    Token,
    ToolCall,
    ToolOutcome,
    ToolStatus,
    Utterance,
)
from flowkit.stages.base import AGAIN, DEADLINES, NOTHING, PROVIDER, Actions, Emit, Open, Stage, new
from flowkit.stages.past import Numbered, Past, in_order, said_since, settled
from flowkit.stages.preempting import Preempt
from flowkit.stages.question import without
from flowkit.stages.repeats import Repeats
from flowkit.stages.unspoken import FirstWord, SpokenText
from flowkit.stages.written import written_calls

_BUSY = frozenset({PROVIDER})
_TRIES = 2
NO_TOOLS = "none"
"""The choice of a client that wants no tool called."""


@dataclass(slots=True)
class LlmState:
    """`past`: the exchanges before. `asked`: the current or last request, made `tries` times (0: no reply is under way).
    `calls`: what the model wants called when it has finished. `called`: how many tools were, in all. `tokens`: of this reply so
    far. `text`: of this step. `spoken`: what of it is for the listener. `repeats`: what of that was said before. `first`: its
    first word. `generated`: all that was passed on, if it is to be remembered. `room`: how many estimated tokens a request may
    have, as refusals have shown. `instruct`: what a client wants. `aside`: the reply is not remembered. `before`: the state
    before a reply that was begun early, to which it returns if that is given up. `withheld`: its calls wait for its release."""

    past: Past = field(default_factory=Past)
    asked: Ask | None = None
    tries: int = 0
    calls: tuple[ToolCall, ...] = ()
    called: int = 0
    tokens: int = 0
    text: str = ""
    spoken: SpokenText = field(default_factory=SpokenText)
    repeats: Repeats | None = None
    first: FirstWord = field(default_factory=FirstWord)
    generated: str = ""
    room: int = sys.maxsize
    instruct: Instruct = field(default_factory=Instruct)
    aside: bool = False
    before: LlmState | None = None
    withheld: bool = False


class LlmTurn(Stage[LlmState]):
    """Utterance -> Ask -> tokens. Takes no other utterance while it answers one."""

    kind = "llm"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {
        "utterance": ("utterance", "transcript"),
        "turn": ("turn",),
        "outcomes": ("outcomes",),
    }
    outputs: ClassVar[dict[str, str]] = {"tokens": "tokens", "faults": "progress", "calls": "calls"}
    replying = True
    call_scope = "turn"
    call_keys = DEADLINES | AGAIN

    class Options(opt.Options):
        max_history: int = Field(20, ge=0, le=1000)
        """How many past turns the model gets as history; older ones are dropped."""
        history_tokens: int = Field(4000, ge=0, le=1_000_000)
        """Size of the history that the model gets, in estimated tokens; older turns are dropped. A model with a smaller
        context gets less."""
        history: Literal["heard", "generated"] = "heard"
        """What the history keeps of a reply of which something was heard: what was `heard`, or all that was
        `generated`."""
        tool_rounds: int = Field(5, ge=1, le=100)
        """How often a reply may call tools. After that the model is asked to answer without them."""
        preempt: Preempt | None = None
        """When the model is asked before the user's turn is over: `{at: 0.7, stable_for: 50ms, max_tries: 2}`, with a stage
        of kind `turn`. Its answer waits for the end of the turn. By default never."""
        text_tools: bool = False
        """Whether a tool call that the model writes as text is called, such as <tool_call>{"name": ...}</tool_call>. It is
        never spoken."""

    options: Options

    def fresh(self) -> LlmState:
        return LlmState()

    def reset(self, state: LlmState) -> LlmState:
        if state.before is not None:
            return state.before
        return self._kept(state)

    def _kept(self, state: LlmState) -> LlmState:
        # What was asked and said before the interrupt is history for the next request.
        return LlmState(
            past=state.past,
            asked=state.asked,
            called=state.called,
            generated=state.generated,
            room=state.room,
            instruct=state.instruct,
            aside=state.aside,
        )

    def accepts(self, state: LlmState) -> frozenset[str]:
        return _BUSY if state.tries else self.everything

    def step(self, state: LlmState, message: Message, now_us: int) -> Actions:
        if state.before is not None and isinstance(message, (Instruct, Remember, Forget, HeardUntil, ToolOutcome)):
            self.step(state.before, message, now_us)  # it holds whatever becomes of the early reply
        match message:
            case Token(text=text):
                return self._token(state, message, self._new(state, state.spoken.feed(text)))
            case Done():
                return self._done(state)
            case Utterance():
                return self._begin(state, message)
            case Final(text=text) if text:
                return self._begin(state, Utterance(1 + (state.asked.turn if state.asked else 0), text, ""))
            case Released():
                return self._released(state)
            case ToolCall():
                state.calls = (*state.calls, message)
            case ToolOutcome():
                return self._outcome(state, message)
            case Filler(text=text):
                # If the outcome has come meanwhile, there is no wait left to fill.
                return self._filler(state, text) if _waits(state) else NOTHING
            case Instruct():
                state.instruct = message
            case Remember():
                state.past = state.past.with_said(message, state.asked.turn if state.asked is not None else None)
            case Forget():
                _forget(state, message)
            case HeardUntil() if self.options.history == "heard":
                # Of the newest reply the next utterance says so.
                state.past = state.past.heard(message)
            case Failed(kind=kind, what=what):
                if kind == "length" and state.tries < _TRIES:
                    return self._shorter(state)
                return (*self._rest(state), *self._end(state, what))
        return NOTHING

    # -- requests ---------------------------------------------------------------------------------------------------

    def _begin(self, state: LlmState, utterance: Utterance) -> Actions:
        """A turn begins, or is answered again after an interruption for nothing."""
        state.before = self._kept(state) if utterance.early else None
        before = state.asked
        again = before is not None and before.turn == utterance.turn
        # An answer that goes on belongs to the same exchange, which is not over.
        if not again:
            self._remember(state, utterance.heard)
        steps = before.steps if before is not None and again else ()
        state.generated = utterance.said
        state.aside = utterance.aside
        ask = Ask(
            utterance.turn,
            utterance.text,
            (),
            said_since(steps, utterance.said),
            steps=steps,
            instructions=utterance.instructions or state.instruct.instructions,
            offered=utterance.offered or state.instruct.tools,
            choice=utterance.choice or state.instruct.choice,
        )
        if utterance.say:
            # Kept like a request, so that the history holds what the agent said by itself.
            state.asked = ask
            return (Emit("tokens", Token(0, utterance.say)), Emit("tokens", EndOfReply()))
        return self._ask(state, ask)

    def _remember(self, state: LlmState, heard: str) -> None:
        """The last turn becomes history, if anything of it was heard or done."""
        asked, ended = state.asked, list[Numbered]()
        if asked is not None and (heard or asked.steps) and not state.aside:
            said = heard if self.options.history == "heard" else state.generated.strip()
            ended.append(Numbered(asked.turn, Exchange(asked.text, *in_order(asked.steps, said))))
        state.past = state.past.ended(*ended)

    def _ask(self, state: LlmState, ask: Ask) -> Actions:
        """Ask the model for the next step, or wait until the outcomes of the last one are there."""
        # Set first, because tools are awaited only while a reply is under way.
        state.asked, state.tries = ask, 1
        if _waits(state):
            return NOTHING
        state.tries = 0
        return self._open(state, ask)

    def _open(self, state: LlmState, ask: Ask) -> Actions:
        """Make a request, with as much history as there is room for."""
        # The question and its steps come first. History only gets the room that they leave.
        tokens = min(self.options.history_tokens, state.room - history.size_of(replace(ask, history=())))
        state.past = state.past.fitting(self.options.max_history, tokens)
        tools = len(ask.steps) < self.options.tool_rounds and ask.choice != NO_TOOLS
        # What a reply must call it calls first. Asked again, it would call that for ever.
        choice = "" if ask.steps and tools else ask.choice
        state.asked = replace(ask, history=state.past.history, tools=tools, choice=choice)
        state.tries += 1
        # A request that failed half-way may have left calls, and what is asked again must not make them twice.
        state.calls, state.text = (), ""
        state.spoken, state.first = SpokenText(), FirstWord(found=bool(ask.said))
        state.repeats = Repeats(ask.said, resumes=True) if ask.said else None
        return (Open(state.asked),)

    def _shorter(self, state: LlmState) -> Actions:
        """The request is too long. From now on, requests have half its size. A text that is longer than that is sent
        without history."""
        assert state.asked is not None
        state.room = history.size_of(state.asked) // 2
        return self._open(state, replace(state.asked, shortened=True))

    # -- the model's text -------------------------------------------------------------------------------------------

    def _new(self, state: LlmState, text: str) -> str:
        """The part of the spoken text that was not said before."""
        return state.repeats.feed(text) if state.repeats and text else text

    def _token(self, state: LlmState, said: Token, spoken: str) -> Actions:
        """The part of a token that is spoken, with the next number."""
        if said.text and not spoken:
            return NOTHING
        if spoken and not state.text and _follows_text(state) and not spoken[0].isspace():
            spoken = f" {spoken}"  # after what the step before said
        state.first.feed(spoken)
        # Numbered again where text was left out, because a gap would look like a token that was dropped.
        token = said if spoken == said.text and said.index == state.tokens else Token(state.tokens, spoken)
        state.tokens += 1
        state.text += spoken
        if self.options.history == "generated":
            state.generated += spoken
        return (new(Emit, ("tokens", token)),)

    def _filler(self, state: LlmState, text: str) -> Actions:
        # It takes a number, because without a chunker each number is a clause.
        filler = Filler(text, state.tokens)
        state.tokens += 1
        return (Emit("tokens", filler),)

    def _done(self, state: LlmState) -> Actions:
        rest = self._rest(state)
        if self.options.text_tools and not state.calls:
            state.calls = written_calls(state.spoken.calls)
        # A model that calls tools although it was given none would never come to an end.
        if state.calls and state.asked is not None and state.asked.tools:
            # Whether the user means this is not known before the release, and a tool may change the world.
            state.withheld = state.before is not None
            return rest if state.withheld else (*rest, *self._call(state, state.asked))
        if state.first.end():
            return (*rest, *self._end(state))
        if state.tries < _TRIES and state.asked is not None:
            return (*rest, *self._apart(state), *self._open(state, state.asked))
        return (*rest, *self._end(state, "the model's reply has no words"))

    def _released(self, state: LlmState) -> Actions:
        """The reply that was begun early is one like any other from now on."""
        state.before, withheld, state.withheld = None, state.withheld, False
        return self._call(state, state.asked) if withheld and state.asked is not None else NOTHING

    def _apart(self, state: LlmState) -> Actions:
        """A line break, so that the next reply is not read together with the marks of this one."""
        return self._token(state, Token(state.tokens, "\n"), "\n") if state.tokens else NOTHING

    def _rest(self, state: LlmState) -> Actions:
        """What was held back until it was known whether it is for the listener."""
        rest = self._new(state, state.spoken.end())
        return self._token(state, Token(state.tokens, rest), rest) if rest else NOTHING

    def _end(self, state: LlmState, fault: str = "") -> Actions:
        """The reply is over, with or without a fault."""
        state.tries = state.tokens = 0
        told = (Emit("faults", Fault(self.kind, fault)),) if fault else ()
        return (*told, Emit("tokens", EndOfReply()))

    # -- tools ------------------------------------------------------------------------------------------------------

    def _call(self, state: LlmState, asked: Ask) -> Actions:
        """The step is complete: its calls leave, under numbers of their own. Models repeat theirs."""
        calls = tuple(replace(call, id=f"call_{state.called + n}") for n, call in enumerate(state.calls, start=1))
        state.called += len(calls)
        text = (asked.said + state.text).strip()
        step = ReplyStep(text, tuple(Called(call.id, call.name, call.arguments) for call in calls))
        state.asked = replace(asked, steps=(*asked.steps, step), said="")
        state.calls = ()
        return (Emit("tokens", EndOfStep()), *(Emit("calls", call) for call in calls))

    def _outcome(self, state: LlmState, outcome: ToolOutcome) -> Actions:
        """An outcome takes its place, in this turn or in one before. When it is the last one that is awaited, the model
        goes on."""
        state.past = state.past.settled(outcome)
        if (asked := state.asked) is None or not asked.steps:
            return NOTHING
        waited = _waits(state)
        state.asked = asked = replace(asked, steps=settled(asked.steps, outcome))
        if not waited or _waits(state):
            return NOTHING
        # The session ends and something was said. To ask the model again would only add another farewell.
        if state.text.strip() and any(call.status == ToolStatus.ENDED for call in asked.steps[-1].calls):
            return self._end(state)
        state.tries = 0
        return self._open(state, asked)


def _forget(state: LlmState, what: Forget) -> None:
    """A part of what was said was never said."""
    asked = state.asked
    if asked is not None and asked.turn == what.number:
        if what.user:
            state.asked = replace(asked, text=without(asked.text, what.text))
        elif not asked.steps:
            # Nothing will be heard of it, and then it would not be remembered at all.
            state.past = state.past.followed_by(Numbered(asked.turn, Exchange(asked.text, "")))
    state.past = state.past.without(what)


def _waits(state: LlmState) -> bool:
    """Whether a reply is under way that waits for tools."""
    steps = state.asked.steps if state.asked is not None and state.tries else ()
    return bool(steps) and any(call.status == ToolStatus.RUNNING for call in steps[-1].calls)


def _follows_text(state: LlmState) -> bool:
    """Whether the step before said something."""
    steps = state.asked.steps if state.asked is not None else ()
    return bool(steps and steps[-1].text)
