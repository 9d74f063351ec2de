"""The LLM's turn: one utterance in, one turn-scoped call, its tokens out, an end marker after the last.

Only tokens for the listener go on (``unspoken``). The history is what the user heard, unless the file says otherwise:
each utterance carries what was heard of the reply before it. A request is repeated once, either with less history
because it was refused for its length, or because the reply has no words. There is no third request.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from pydantic import Field

from flowkit import history
from flowkit import options as opt
from flowkit.messages import Ask, Done, EndOfReply, Exchange, Failed, Fault, Final, Message, Token, Utterance
from flowkit.stages.base import AGAIN, DEADLINES, NOTHING, PROVIDER, Actions, Emit, Open, Stage, new
from flowkit.stages.repeats import Repeats
from flowkit.stages.unspoken import FirstWord, SpokenText

_BUSY = frozenset({PROVIDER})
_TRIES = 2


@dataclass(slots=True)
class LlmState:
    """`asked`: the current or last request, made `tries` times (0: none is open). `tokens`: of this reply so far.
    `spoken`: what of it is for the listener. `repeats`: what of that was said before. `first`: its first word.
    `generated`: all that was passed on, if it is to be remembered. `room`: how many estimated tokens a request may
    have, as refusals have shown."""

    history: tuple[Exchange, ...] = ()
    asked: Ask | None = None
    tries: int = 0
    tokens: int = 0
    spoken: SpokenText = field(default_factory=SpokenText)
    repeats: Repeats | None = None
    first: FirstWord = field(default_factory=FirstWord)
    generated: str = ""
    room: int = sys.maxsize


class LlmTurn(Stage[LlmState]):
    """Utterance -> Ask -> tokens. Takes no other utterance while it answers one."""

    kind = "llm"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"utterance": ("utterance", "transcript"), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"tokens": "tokens", "faults": "progress"}
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

    options: Options

    def fresh(self) -> LlmState:
        return LlmState()

    def reset(self, state: LlmState) -> LlmState:
        return LlmState(history=state.history, asked=state.asked, generated=state.generated, room=state.room)

    def accepts(self, state: LlmState) -> frozenset[str]:
        return _BUSY if state.tries else self.everything

    def step(self, state: LlmState, message: Message, now_us: int) -> Actions:
        match message:
            case Token(text=text):
                return self._token(state, message, self._new(state, state.spoken.feed(text)))
            case Done():
                return self._done(state)
            case Utterance():
                return self._ask(state, message)
            case Final(text=text) if text:
                return self._ask(state, Utterance(len(state.history) + 1, text, ""))
            case Failed(kind=kind, what=what):
                if kind == "length" and state.tries < _TRIES:
                    return self._shorter(state)
                return (*self._rest(state), *self._end(state, what))
        return NOTHING

    def _new(self, state: LlmState, text: str) -> str:
        """The part of the spoken text that was not said before."""
        return state.repeats.feed(text) if state.repeats and text else text

    def _token(self, state: LlmState, said: Token, spoken: str) -> Actions:
        """The part of a token that is spoken, with the next number."""
        if said.text and not spoken:
            return NOTHING
        state.first.feed(spoken)
        token = said if spoken == said.text and said.index == state.tokens else Token(state.tokens, spoken)
        state.tokens += 1
        if self.options.history == "generated":
            state.generated += spoken
        return (new(Emit, ("tokens", token)),)

    def _ask(self, state: LlmState, utterance: Utterance) -> Actions:
        if utterance.heard and state.asked is not None:
            said = utterance.heard if self.options.history == "heard" else state.generated.strip()
            state.history = (*state.history, Exchange(state.asked.text, said))
        state.tries, state.generated = 0, utterance.said
        return self._open(state, Ask(utterance.turn, utterance.text, (), utterance.said))

    def _open(self, state: LlmState, ask: Ask) -> Actions:
        """Make a request, with as much history as there is room for."""
        tokens = min(self.options.history_tokens, state.room - history.size_of(replace(ask, history=())))
        state.history = history.fitting(state.history, self.options.max_history, tokens)
        state.asked = replace(ask, history=state.history)
        state.tries += 1
        state.spoken, state.first = SpokenText(), FirstWord(found=bool(ask.said))
        state.repeats = Repeats(ask.said, resumes=True) if ask.said else None
        return (Open(state.asked),)

    def _shorter(self, state: LlmState) -> Actions:
        """The request is too long. From now on, requests have half its size. A text that is longer than that is sent
        without history."""
        assert state.asked is not None
        state.room = history.size_of(state.asked) // 2
        return self._open(state, replace(state.asked, shortened=True))

    def _done(self, state: LlmState) -> Actions:
        rest = self._rest(state)
        if state.first.end():
            return (*rest, *self._end(state))
        if state.tries < _TRIES and state.asked is not None:
            return (*rest, *self._apart(state), *self._open(state, state.asked))
        return (*rest, *self._end(state, "the model's reply has no words"))

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
