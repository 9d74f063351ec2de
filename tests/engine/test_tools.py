"""Random conversations with tools: both pumps agree, every promise is kept, and each call has exactly one outcome."""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import check
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation
from flowkit.testing.strategies.tools import tool_conversations
from flowkit.testing.tool_promises import check_tools

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
PARTS = 4
PHASES = tuple(Phase) if DEEP else (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing conversation is short enough to be read; to make it shorter takes minutes."""
EACH = 25_000 if DEEP else 250
LIVE = 10 if DEEP else 5
"""One in so many is run on the live pump too."""


@pytest.mark.parametrize("part", range(PARTS))
def test_each_call_has_one_outcome_whatever_interrupts_it(part: int) -> None:
    @(lambda test: test) if DEEP else seed(part)
    @settings(
        max_examples=EACH, phases=PHASES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(conversation=tool_conversations(), live=st.integers(1, LIVE))
    def each(conversation: Conversation, live: int) -> None:
        plan = scripted_plan(**conversation)
        on_heap = Evidence(plan)
        ours = heap_session(plan, on_heap)
        check(on_heap)
        check_tools(on_heap)
        if live == LIVE:
            theirs = trio_session(plan, inline=False)
            assert ours.journal.digest() == theirs.journal.digest()

    each()


@settings(max_examples=50, phases=PHASES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(conversation=tool_conversations())
def test_without_a_chunker_it_is_the_same(conversation: Conversation) -> None:
    conversation = {kind: keys for kind, keys in conversation.items() if kind != "chunker"}
    plan = scripted_plan(**conversation, without=("chunker",))
    on_heap = Evidence(plan)
    ours = heap_session(plan, on_heap)
    check_tools(on_heap)
    assert ours.journal.digest() == trio_session(plan, inline=False).journal.digest()
