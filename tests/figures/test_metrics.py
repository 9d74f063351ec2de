"""Figures against the scripted timings, for the sum of TTFA's parts alone would prove nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config.budgets import PARTS
from flowkit.figures.metrics import measure
from flowkit.figures.report import Report
from flowkit.figures.waits import WAITED
from flowkit.testing.sessions import heap_session, scripted_plan
from tests.trace.sessions import PARIS, Session, pipeline, run


def report(session: Session) -> Report:
    return measure(session.rows, plan=session.plan, voiced=session.reference)


def parts(session: Session, turn: int = 0) -> dict[str, int]:
    found = report(session).turns[turn].parts_us
    assert found is not None
    return dict(zip(PARTS, found, strict=True))


ALONE = pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris. That is it.",))


def test_parts_are_the_scripted_timings() -> None:
    assert parts(run(ALONE)) == {
        "endpointing": 400_000,
        "asr_final": 80_000,
        "model_wait": 0,
        "llm_first_token": 180_000,
        "tool_wait": 0,
        "clause_fill": parts(run(ALONE))["clause_fill"],
        "queue_wait": 0,
        "tts_first_audio": 110_000,
        "playback_start": parts(run(ALONE))["playback_start"],
    }


@pytest.mark.parametrize(
    ("stage", "option", "part", "us"),
    [
        ("vad", "end: 700ms", "endpointing", 700_000),
        ("asr", "final_after: 250ms", "asr_final", 250_000),
        ("llm", "first_token: 333ms", "llm_first_token", 333_000),
        ("tts", "first_audio: 95ms", "tts_first_audio", 95_000),
    ],
)
def test_each_part_moves_with_its_own_timing_alone(stage: str, option: str, part: str, us: int) -> None:
    before, after = (
        parts(run(ALONE)),
        parts(run(pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris. That is it.",), **{stage: option}))),
    )
    assert after[part] == us
    moved = {name for name in PARTS if before[name] != after[name]}
    # Playback begins with a tick of the device's grid, so its wait depends on when the audio came.
    assert moved - {"playback_start"} == {part}


@pytest.mark.parametrize(
    ("kind", "part", "whole_us"),
    [("asr", "asr_final", 80_000), ("llm", "llm_first_token", 180_000), ("tts", "tts_first_audio", 110_000)],
)
@pytest.mark.parametrize("late_us", [0, 20_000, 500_000])
def test_a_wait_for_a_model_is_taken_out_of_its_part(kind: str, part: str, whole_us: int, late_us: int) -> None:
    """However late its event comes, the parts add up. A wait that ended after the part is none of it."""
    session = run(ALONE)
    before, at_us = parts(session), 1_100_000
    for name in PARTS:
        if name == part:
            break
        at_us += before[name]
    event = (at_us + 30_000 + late_us, WAITED, f"{kind} mine: waited_us=30000")
    found = measure(session.rows, plan=session.plan, voiced=session.reference, events=[event])
    after = dict(zip(PARTS, found.turns[0].parts_us or (), strict=True))
    waited = 30_000 if late_us < 500_000 else 0
    assert after == {**before, part: whole_us - waited, "model_wait": waited}
    assert found.turns[0].ttfa_us == report(session).turns[0].ttfa_us


def test_a_clause_that_waits_for_a_busy_voice_is_no_queue_wait_of_the_first() -> None:
    session = run(pipeline("{at: 280ms, lasts: 820ms}", replies=(PARIS,)))
    assert parts(session)["queue_wait"] == 0


def test_last_voiced_is_the_reference_detectors_not_the_pipelines() -> None:
    late = run(pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris.",), vad="latency: 60ms"))
    assert parts(late)["endpointing"] == 460_000


def test_without_audio_the_pipelines_own_mark_counts_and_is_said() -> None:
    session = run(ALONE)
    found = measure(session.rows, plan=session.plan)
    assert found.turns[0].ttfa_us == report(session).turns[0].ttfa_us
    assert found.notices == ("no audio levels: TTFA counts from the pipeline's own last voiced frame",)


def test_texts_and_ends_of_turns() -> None:
    first, second = report(run(pipeline())).turns
    assert (first.user, first.agent, first.end_reason) == ("What is the capital of France?", PARIS, "interrupted")
    assert first.heard
    assert first.agent.startswith(first.heard)
    assert first.heard != first.agent
    assert (second.agent, second.heard, second.end_reason) == ("Madrid.", "Madrid.", "completed")


def test_a_turn_that_never_speaks_has_no_ttfa() -> None:
    failing = run(pipeline("{at: 280ms, lasts: 820ms}", tts="fail: true"))
    (turn,) = report(failing).turns
    assert (turn.ttfa_us, turn.parts_us, turn.end_reason) == (None, None, "error")
    stored = report(failing).to_json()["turns"][0]
    assert stored["ttfa_ms"] is None
    assert stored["parts_ms"] is None


def test_interrupt_is_measured_from_voice_and_from_the_hold() -> None:
    found = report(run(pipeline()))
    (barge_in,) = found.interrupts
    # The voice begins at 2780 ms; three voiced frames later, at 2840 ms, a tick of the device, playback is held.
    assert barge_in.speech_to_silence_us == 60_000
    assert barge_in.decision_to_silence_us == 0
    assert barge_in.t_us == 2_960_000
    assert (barge_in.turn, barge_in.stale_frames, barge_in.clauses) == (1, 0, 1)
    assert barge_in.frames > 0


def test_an_interrupt_while_thinking_silences_nothing() -> None:
    found = report(run(pipeline("{at: 280ms, lasts: 820ms}, {at: 1600ms, lasts: 900ms}", llm="first_token: 900ms")))
    (barge_in,) = found.interrupts
    assert barge_in.speech_to_silence_us is None
    assert barge_in.decision_to_silence_us == 0
    assert found.turns[0].ttfa_us is None


@pytest.mark.parametrize("at", ["1640ms", "2640ms"])
def test_a_turn_that_is_answered_again_after_a_noise_is_one_turn(at: str) -> None:
    """Its time to first audio is measured from the question, even if a noise came before any audio."""
    noisy = run(pipeline(f"{{at: 280ms, lasts: 820ms}}, {{at: {at}, lasts: 200ms}}", heard=("What is it?",)))
    found, plain = report(noisy), report(run(pipeline("{at: 280ms, lasts: 820ms}", heard=("What is it?",))))
    (turn,), (barge_in,), (alone,) = found.turns, found.interrupts, plain.turns
    assert (turn.turn, turn.user, turn.end_reason, turn.heard) == (1, "What is it?", "completed", PARIS)
    assert barge_in.turn == 1
    assert turn.started_us == alone.started_us
    assert turn.ttfa_us is not None
    assert alone.ttfa_us is not None
    assert (turn.ttfa_us == alone.ttfa_us) == (at == "2640ms")
    assert turn.ttfa_us >= alone.ttfa_us


@settings(max_examples=25, deadline=None)
@given(
    end_ms=st.integers(1, 40).map(lambda n: n * 20 + 100),
    token_ms=st.integers(0, 400),
    audio_ms=st.integers(0, 400),
    barge_ms=st.integers(1200, 6000),
)
def test_parts_are_never_negative_and_add_up(end_ms: int, token_ms: int, audio_ms: int, barge_ms: int) -> None:
    session = run(
        pipeline(
            f"{{at: 280ms, lasts: 820ms}}, {{at: {barge_ms}ms, lasts: 700ms}}",
            vad=f"end: {end_ms}ms",
            llm=f"first_token: {token_ms}ms",
            tts=f"first_audio: {audio_ms}ms",
        )
    )
    found = report(session)
    for turn in found.turns:
        if turn.parts_us is not None:
            assert min(turn.parts_us) >= 0
            assert sum(turn.parts_us) == turn.ttfa_us
        assert turn.agent.startswith(turn.heard)
    for barge_in in found.interrupts:
        assert 0 <= barge_in.decision_to_silence_us <= session.plan.frame_us
        assert barge_in.stale_frames == 0


def test_a_clause_spoken_in_vain_is_counted_and_is_no_clause() -> None:
    tokens = ("See", " example", ".", "com", " for", " more", ".", " Good", " bye")
    plan = scripted_plan(
        mic={"speech": [{"at": "0s", "lasts": "300ms"}]},
        asr={"utterances": ("Where?",)},
        llm={"replies": ({"text": "", "tokens": tokens},)},
        chunker={"speculate_end": True},
    )
    (turn,) = measure(list(heap_session(plan).journal), plan=plan).turns
    assert (turn.revoked, turn.revoked_chars) == (1, len("See example."))
    assert [clause.text for clause in turn.clauses] == ["See example.com for more.", " Good bye"]
    assert turn.heard == "See example.com for more. Good bye"
    assert turn.to_json()["revoked"] == {"clauses": 1, "characters": 12}
