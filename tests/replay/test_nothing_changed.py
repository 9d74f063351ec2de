"""A what-if that changes nothing is the simulated replay: whoever talks, and whatever VAD and ASR do."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from flowkit.config.problems import InvalidConfig
from flowkit.messages import Partial, Probability
from flowkit.replay.simulate import simulate
from flowkit.testing.session_machine import pipeline_of
from flowkit.testing.sessions import heap_session
from flowkit.testing.strategies.conversations import Conversation, conversations
from tests.fidelity.world import talk, trace_of
from tests.trace.sessions import planned

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
NOTHING = ("stages.gate.join_words=201",)
"""A setting that none of these conversations depends on."""


@pytest.mark.parametrize("seed", range(1, 400 if DEEP else 9))
def test_a_talk_comes_out_byte_by_byte(seed: int) -> None:
    recorded = talk(seed)
    replayed = simulate(recorded.trace, overrides=NOTHING).report
    assert replayed.level == "what_if"
    assert replayed.digest == recorded.trace.digest
    assert replayed.turns == recorded.report.turns
    assert replayed.notices == ()


def test_these_talks_have_what_is_hard() -> None:
    """VADs that skip frames, ASRs that decode ahead, users who talk over the agent and noises that interrupt nothing."""
    talks = [talk(seed) for seed in range(1, 9)]
    skipping = [
        sum(isinstance(row.message, Probability) for row in known.rows) < 0.7 * len(known.trace.levels)
        for known in talks
    ]
    assert set(skipping) == {True, False}
    assert any(isinstance(row.message, Partial) for known in talks for row in known.rows)
    assert sum(turn.end_reason == "interrupted" for known in talks for turn in known.report.turns) >= 8
    assert any(type(row.message).__name__ == "Resume" for known in talks for row in known.rows)


@settings(max_examples=2_000 if DEEP else 40, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversations())
def test_any_conversation_comes_out_as_simulated(conversation: Conversation) -> None:
    try:
        plan = planned(pipeline_of(conversation))
    except InvalidConfig:
        reject()  # a queue may not drop what the next stage waits for
    engine = heap_session(plan)
    assume(engine.finished is not None and not engine.finished.startswith("failed"))
    trace = trace_of(plan, pipeline_of(conversation), engine.journal.rows, reason=engine.finished)
    before, after = simulate(trace, frame_by_frame=True), simulate(trace, overrides=NOTHING)
    assert after.report.level == "what_if"
    assert after.report.turns == before.report.turns
    assert after.report.interrupts == before.report.interrupts
    assert after.report.digest == before.report.digest


CHANGES = (
    ("stages.vad.end=60ms",),
    ("stages.vad.end=300ms",),
    ("stages.vad.speech_for=400ms",),
    ("stages.gate.min_words=2",),
    ("stages.chunker.max_tokens=3", "stages.chunker.queue={max: 1}"),
)


@settings(max_examples=2_000 if DEEP else 60, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversations(), st.sampled_from(CHANGES))
def test_no_turn_is_lost_in_silence(conversation: Conversation, change: tuple[str, ...]) -> None:
    try:
        plan = planned(pipeline_of(conversation))
    except InvalidConfig:
        reject()
    engine = heap_session(plan)
    assume(engine.finished is not None and not engine.finished.startswith("failed"))
    trace = trace_of(plan, pipeline_of(conversation), engine.journal.rows, reason=engine.finished)
    before, after = simulate(trace).report, simulate(trace, overrides=change).report
    heard = [turn.user for turn in after.turns]
    told = [line for line in after.notices if " of the recording " in line]
    for turn in before.turns:
        named = any(re.search(rf"\b{turn.turn}\b", line.partition(" of the recording ")[0]) for line in told)
        assert named or any(turn.user in text for text in heard), (turn.user, heard, after.notices)
