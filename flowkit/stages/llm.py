"""The LLM's turn: one utterance in, one turn-scoped call, its tokens out, an end marker behind the last of them.

The history is what the user heard, not what was generated: each utterance brings along what was heard of the reply before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import Ask, Done, EndOfReply, Exchange, Failed, Fault, Final, Message, Token, Utterance
from flowkit.stages.base import NOTHING, PROVIDER, Actions, Emit, Open, Stage, new

_BUSY = frozenset({PROVIDER})


@dataclass(slots=True)
class LlmState:
    """`asked`: the turn under way or the last one; `tokens`: of this reply so far; `busy`: a call is open."""

    history: tuple[Exchange, ...] = ()
    asked: str = ""
    tokens: int = 0
    busy: bool = False


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
                token = message if message.index == state.tokens else Token(state.tokens, text)
                state.tokens += 1
                return (new(Emit, ("tokens", token)),)
            case Done():
                state.busy = False
                return (Emit("tokens", EndOfReply()),)
            case Utterance():
                return self._ask(state, message)
            case Final(text=text) if text:
                return self._ask(state, Utterance(len(state.history) + 1, text, ""))
            case Failed():
                state.busy = False
                return (Emit("faults", Fault(self.kind, message.what)), Emit("tokens", EndOfReply()))
        return NOTHING

    def hands_on(self, state: LlmState, messages: Sequence[Message], begin: int) -> int:
        taken = 0
        for place in range(begin, len(messages)):
            message = messages[place]
            if type(message) is not Token or message.index != state.tokens + taken:
                break
            taken += 1
        state.tokens += taken
        return taken

    def _ask(self, state: LlmState, utterance: Utterance) -> Actions:
        if utterance.heard:
            state.history = (*state.history, Exchange(state.asked, utterance.heard))[-self.options.max_history :]
            if not self.options.max_history:
                state.history = ()
        state.asked, state.tokens, state.busy = utterance.text, 0, True
        return (Open(Ask(utterance.turn, utterance.text, state.history)),)
