"""The heap pump: it jumps through time, stops and continues where it is told to, and gives the same result every
time."""

import gc
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given, settings

from flowkit.errors import UsageError
from flowkit.messages import Message
from flowkit.options import Options
from flowkit.plan.graph import ProviderChoice
from flowkit.providers.base import Emit, Provider
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import heap_session, scripted_plan, scripts_of
from flowkit.testing.strategies.conversations import Conversation, conversations

PLAN = scripted_plan(
    mic={"speech": [{"at": "300ms", "lasts": "800ms"}, {"at": "2500ms", "lasts": "400ms"}]},
    asr={"utterances": ("What is the capital of France?", "And of Spain?")},
    llm={"replies": ({"text": "The capital of France is Paris. It is a lovely town."}, {"text": "Madrid."})},
)


def test_the_same_again() -> None:
    assert heap_session(PLAN).journal.digest() == heap_session(PLAN).journal.digest()


def test_it_stops_before_the_clock_would_pass_a_time() -> None:
    engine = heap_session(PLAN, limit_us=1_000_000)
    assert engine.finished is None
    assert engine.journal.rows[-1].handled_us == 1_000_000


@settings(max_examples=25)
@given(conversation=conversations())
def test_in_steps_as_in_one_go(conversation: Conversation) -> None:
    plan = scripted_plan(**conversation)
    pump = HeapPump(plan, scripts_of(plan))
    for until_us in range(0, 120_000_000, 170_001):
        pump.run(until_us=until_us)
        if pump.engine.finished is not None:
            break
    assert pump.engine.journal.rows == heap_session(plan).journal.rows


def test_the_collector_is_as_it_was() -> None:
    assert gc.isenabled()
    heap_session(PLAN)
    assert gc.isenabled()
    gc.disable()
    try:
        heap_session(PLAN)
        assert not gc.isenabled()
    finally:
        gc.enable()


class Real(Provider):
    """Not inline, so it can run only on the live pump."""

    kind, name = "llm", "real"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise AssertionError("the heap pump calls nobody")


def test_a_plan_of_real_providers_has_no_scripts() -> None:
    """It says which stage cannot be played."""
    real = ProviderChoice("real", Real, Options())
    plan = replace(PLAN, stages=tuple(replace(s, provider=real) if s.kind == "llm" else s for s in PLAN.stages))
    with pytest.raises(UsageError, match="stage 'llm' has provider 'real'"):
        scripts_of(plan)
