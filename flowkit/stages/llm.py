"""The LLM's turn: one utterance in, one turn-scoped call, its tokens out, an end marker behind the last of them.

Of the tokens only what is for the listener goes on (``unspoken``). The history is what the user heard, not what was generated:
each utterance brings along what was heard of the reply before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import Ask, Done, EndOfReply, Exchange, Failed, Fault, Final, Message, Token, Utterance
from flowkit.stages.base import NOTHING, PROVIDER, Actions, Emit, Open, Stage, new
from flowkit.stages.unspoken import SpokenText

_BUSY = frozenset({PROVIDER})


@dataclass(slots=True)
class LlmState:
    """`asked`: the turn under way or the last one; `tokens`: of this reply so far; `busy`: a call is open; `spoken`: what of the
    reply is for the listener."""

    history: tuple[Exchange, ...] = ()
    asked: str = ""
    tokens: int = 0
    busy: bool = False
    spoken: SpokenText = field(default_factory=SpokenText)


class LlmTurn(Stage[LlmState]):
    """Utterance -> Ask -> tokens. Takes no other utterance while one is being answered."""

    kind = "llm"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"utterance": ("utterance", "transcript"), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"tokens": "tokens", "faults": "progress"}
    replying = True
    call_scope = "turn"
    handing = "tokens"

    class Options(opt.Options):
        max_history: int = Field(20, ge=0, le=1000)
        """Past turns that the model is reminded of; older ones are forgotten."""

    options: Options

    def fresh(self) -> LlmState:
        return LlmState()

    def reset(self, state: LlmState) -> LlmState:
        return LlmState(history=state.history, asked=state.asked)

    def accepts(self, state: LlmState) -> frozenset[str]:
        return _BUSY if state.busy else self.everything

    def step(self, state: LlmState, message: Message, now_us: int) -> Actions:
        match message:
            case Token(text=text):
                return self._token(state, message, state.spoken.feed(text))
            case Done():
                return (*self._end(state), Emit("tokens", EndOfReply()))
            case Utterance():
                return self._ask(state, message)
            case Final(text=text) if text:
                return self._ask(state, Utterance(len(state.history) + 1, text, ""))
            case Failed():
                fault = Emit("faults", Fault(self.kind, message.what))
                return (*self._end(state), fault, Emit("tokens", EndOfReply()))
        return NOTHING

    def _token(self, state: LlmState, said: Token, spoken: str) -> Actions:
        """What of a token is spoken, numbered on."""
        if said.text and not spoken:
            return NOTHING
        token = said if spoken == said.text and said.index == state.tokens else Token(state.tokens, spoken)
        state.tokens += 1
        return (new(Emit, ("tokens", token)),)

    def _end(self, state: LlmState) -> Actions:
        state.busy = False
        rest = state.spoken.end()
        return (Emit("tokens", Token(state.tokens, rest)),) if rest else NOTHING

    def hands_on(self, state: LlmState, messages: Sequence[Message], begin: int) -> int:
        taken = 0
        for place in range(begin, len(messages)):
            message = messages[place]
            if (
                type(message) is not Token
                or message.index != state.tokens + taken
                or not state.spoken.all_of(message.text)
            ):
                break
            taken += 1
        state.tokens += taken
        return taken

    def _ask(self, state: LlmState, utterance: Utterance) -> Actions:
        if utterance.heard:
            state.history = (*state.history, Exchange(state.asked, utterance.heard))[-self.options.max_history :]
            if not self.options.max_history:
                state.history = ()
        state.asked, state.tokens, state.busy, state.spoken = utterance.text, 0, True, SpokenText()
        return (Open(Ask(utterance.turn, utterance.text, state.history)),)
