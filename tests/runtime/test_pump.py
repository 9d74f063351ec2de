"""The live pump: it does not wait for an instant to be complete, and the task that brings an item lets it proceed."""

from dataclasses import replace
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from flowkit.messages import Instruct, Message, Token
from flowkit.plan.graph import Plan
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.runtime.session import Settled
from flowkit.stages.base import Actions
from flowkit.stages.llm import LlmState, LlmTurn
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import check
from flowkit.testing.sessions import providers_of, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations

ONE_TURN: dict[str, Any] = {
    "mic": {"speech": [{"at": "0ms", "lasts": "200ms"}]},
    "vad": {"end": "200ms"},
    "asr": {"utterances": ("How are you?",)},
    "llm": {"replies": ({"text": "Very well, thank you."},)},
}


def with_llm_stage(plan: Plan, cls: type[LlmTurn]) -> Plan:
    return replace(plan, stages=tuple(replace(s, cls=cls) if s.kind == "llm" else s for s in plan.stages))


def test_an_item_is_handled_by_the_task_that_brings_it() -> None:
    """No other task is woken first, because that would delay every item of a reply."""
    tasks = []

    class Told(LlmTurn):
        def step(self, state: LlmState, message: Message, now_us: int) -> Actions:
            if isinstance(message, Token):
                tasks.append(trio.lowlevel.current_task().name.split()[0])
            return super().step(state, message, now_us)

    plan = with_llm_stage(scripted_plan(**ONE_TURN), Told)
    assert trio_session(plan, settled=False, inline=False).finished == "input_ended"
    assert tasks == ["llm"] * 4


def test_what_breaks_in_the_engine_is_not_the_fault_of_whoever_brought_the_item() -> None:
    class Breaks(LlmTurn):
        def step(self, state: LlmState, message: Message, now_us: int) -> Actions:
            if isinstance(message, Token):
                raise ZeroDivisionError("a stage's own defect")
            return super().step(state, message, now_us)

    with pytest.raises(ExceptionGroup) as caught:
        trio_session(with_llm_stage(scripted_plan(**ONE_TURN), Breaks), settled=False)
    assert caught.group_contains(ZeroDivisionError, match="a stage's own defect")


@pytest.mark.parametrize("settled", [None, wait_all_tasks_blocked])
def test_what_breaks_at_a_message_from_outside_ends_the_session(settled: Settled | None) -> None:
    class Breaks(LlmTurn):
        def step(self, state: LlmState, message: Message, now_us: int) -> Actions:
            if isinstance(message, Instruct):
                raise ZeroDivisionError("a stage's own defect")
            return super().step(state, message, now_us)

    async def main() -> None:
        plan, clock = with_llm_stage(scripted_plan(**ONE_TURN), Breaks), SessionClock()
        async with open_alarms() as alarms, providers_of(plan, clock) as providers, trio.open_nursery() as nursery:
            pump = TrioPump(plan, providers, clock, alarms, settled=settled)
            nursery.start_soon(pump.run)
            await trio.sleep(0.1)
            pump.tell("llm", Instruct("Be brief."))

    with pytest.raises(ExceptionGroup) as caught:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert caught.group_contains(ZeroDivisionError, match="a stage's own defect")


@settings(max_examples=80)
@given(conversation=conversations(), inline=st.booleans(), random=st.random_module())
def test_every_promise_is_kept(conversation: Conversation, inline: bool, random: object) -> None:
    plan = scripted_plan(**conversation)
    evidence = Evidence(plan)
    trio_session(plan, evidence, settled=False, inline=inline)
    check(evidence)
