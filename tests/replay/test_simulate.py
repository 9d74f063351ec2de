"""Simulated replay against the session that was recorded, and what-if against the session that would have been."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowkit.config import load
from flowkit.errors import TraceError, UsageError
from flowkit.figures.metrics import measure
from flowkit.messages import (
    Audio,
    ClauseEnded,
    Done,
    Frames,
    Narrate,
    Probability,
    ReplyPlayed,
    RunTools,
    Shutdown,
    Speak,
    ToolCall,
    ToolOutcome,
)
from flowkit.plan import resolve
from flowkit.replay.compare import first_difference
from flowkit.replay.heap import HeapPump
from flowkit.replay.material import Material, RecordedCall, gather
from flowkit.replay.recorded import RecordedTools
from flowkit.replay.simulate import prepare, simulate
from flowkit.replay.ties import depending, permuted
from flowkit.replay.voice import RecordedVoice, fit, spoken_in, theil_sen
from flowkit.testing.sessions import scripted_plan, scripts_of
from flowkit.trace.reader import Trace, read_trace
from tests.replay.test_rerun import SESSIONS, recorded
from tests.runtime.test_narration import narrated
from tests.trace.recording import record
from tests.trace.sessions import PARIS, pipeline, run


@pytest.fixture(scope="module", params=SESSIONS)
def trace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return recorded(tmp_path_factory.mktemp("trace"), SESSIONS[request.param])


def test_frame_by_frame_it_is_the_recorded_journal(trace: Trace) -> None:
    replayed = simulate(trace, frame_by_frame=True)
    assert replayed.report.level == "simulated"
    assert replayed.report.digest == trace.digest
    assert replayed.report.notices == ()


def test_with_run_lengths_every_stage_handles_the_same(trace: Trace) -> None:
    replayed = simulate(trace)
    assert len(replayed.rows) < trace.row_count
    assert first_difference(trace.rows(), replayed.rows) is None
    live = measure(trace.rows(), plan=trace.layout, voiced=trace.reference)
    assert replayed.report.turns == live.turns
    assert replayed.report.interrupts == live.interrupts


def test_same_bytes_with_any_hash_seed(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline())
    code = "import sys; from flowkit.replay.simulate import simulate; print(simulate(sys.argv[1]).report.digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(trace.path)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "4242")
    }
    assert digests == {f"{simulate(trace).report.digest}\n"}


@pytest.mark.parametrize(
    "change", ["complete: 320ms", "unsure: 700ms", "likely: 0.95", "likely: 0.95, unsure: 160ms", "incomplete: 600ms"]
)
@pytest.mark.parametrize("p", [0.9, 0.5, 0.1])
def test_what_a_predictor_said_sweeps_other_silences_and_thresholds(tmp_path: Path, change: str, p: float) -> None:
    def talk(end: str) -> str:
        vad, turn = f"end: {{{end}}}", f"likelihood: [{p}], latency: 30ms"
        return pipeline("{at: 280ms, lasts: 920ms}", replies=(PARIS,), vad=vad, turn=turn)

    before = recorded(tmp_path, talk(""))
    replayed = simulate(before, overrides=[f"stages.vad.end.{pair.replace(': ', '=')}" for pair in change.split(", ")])
    truth = run(talk(change))
    expected = measure(truth.rows, plan=truth.plan, voiced=truth.reference)
    assert [turn.ttfa_us for turn in replayed.report.turns] == [turn.ttfa_us for turn in expected.turns]
    assert [turn.ending for turn in replayed.report.turns] == [turn.ending for turn in expected.turns]
    assert replayed.report.notices == ()


@pytest.mark.parametrize(
    ("change", "stage"),
    [("stages.vad.end=700ms", {"vad": "end: 700ms"}), ("stages.vad.end=200ms", {"vad": "end: 200ms"})],
)
def test_another_endpointing_silence_is_what_it_would_have_been(
    tmp_path: Path, change: str, stage: dict[str, Any]
) -> None:
    alone = "{at: 280ms, lasts: 820ms}"
    before = recorded(tmp_path, pipeline(alone, replies=(PARIS,)))
    replayed = simulate(before, overrides=(change,))
    truth = run(pipeline(alone, replies=(PARIS,), **stage))
    expected = measure(truth.rows, plan=truth.plan, voiced=truth.reference)
    assert replayed.report.level == "what_if"
    assert [turn.ttfa_us for turn in replayed.report.turns] == [turn.ttfa_us for turn in expected.turns]
    assert replayed.report.modelled_share == 0.0


def test_another_chunking_has_a_modelled_voice_and_says_so(tmp_path: Path) -> None:
    alone = "{at: 280ms, lasts: 820ms}"
    before = recorded(tmp_path, pipeline(alone, replies=(PARIS,)))
    replayed = simulate(before, overrides=("stages.chunker.max_tokens=5",))
    truth = run(pipeline(alone, replies=(PARIS,), chunker="max_tokens: 5"))
    expected = measure(truth.rows, plan=truth.plan, voiced=truth.reference)
    (turn,) = replayed.report.turns
    assert [c.text for c in turn.clauses] == [c.text for c in expected.turns[0].clauses]
    assert replayed.report.modelled_share > 0.5
    assert turn.modelled
    assert any(clause.modelled for clause in turn.clauses)
    # The scripted voice is exactly linear, and so is the model.
    assert turn.ttfa_us == expected.turns[0].ttfa_us
    assert "modelled" in replayed.report.to_json()["turns"][0]["clauses"][1]


def test_a_slower_agent_is_not_interrupted_by_what_was_said_after_it(tmp_path: Path) -> None:
    """The second question came 1.5 s after the first answer. With 900 ms more silence before each answer it still does."""
    speech = "{at: 280ms, lasts: 820ms}, {at: 4000ms, lasts: 800ms}"
    before = recorded(tmp_path, pipeline(speech, replies=("Paris.", "Madrid.")))
    assert [turn.end_reason for turn in simulate(before).report.turns] == ["completed", "completed"]
    slower = simulate(before, overrides=("stages.vad.end=2500ms",)).report
    assert [turn.end_reason for turn in slower.turns] == ["completed", "completed"]
    assert slower.interrupts == ()
    assert [turn.parts_us[0] for turn in slower.turns if turn.parts_us] == [2_500_000, 2_500_000]


def test_a_barge_in_stays_as_far_into_the_reply(tmp_path: Path) -> None:
    before = recorded(tmp_path, pipeline())
    later = simulate(before, overrides=("stages.vad.end=900ms",)).report
    then = simulate(before).report
    assert [turn.heard for turn in later.turns] == [turn.heard for turn in then.turns]
    assert len(later.interrupts) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("stages.llm.first_token=1ms", "stages.llm.first_token"),
        ("stages.tts.rate=8000", "stages.tts.rate"),
        ("stages.vad.voiced=0.9", "stages.vad.voiced"),
    ],
)
def test_what_no_recording_holds_is_refused_by_name(tmp_path: Path, change: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        simulate(recorded(tmp_path, pipeline()), overrides=(change,))


def test_another_pipeline_file_may_change_decisions_only(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline())
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text(pipeline(chunker="max_tokens: 8"))
    other.write_text(pipeline().replace("  - {kind: chunker}\n", ""))
    assert simulate(trace, pipeline=str(same)).report.level == "what_if"
    with pytest.raises(UsageError, match=r"another list of stages: chunker is missing$"):
        simulate(trace, pipeline=str(other))


def test_without_configuration_there_is_nothing_to_run(tmp_path: Path) -> None:
    config = load("test.yaml", text=pipeline())
    path = record(tmp_path / "b.jsonl", resolve(config)).recording.path
    with pytest.raises(TraceError, match="no configuration"):
        simulate(path)


def test_equal_time_arrivals_in_other_orders_change_nothing_here(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline())
    prepared = prepare(trace)
    assert depending(prepared.run().report, permuted(prepared, 5)) == {}


def test_theil_sen_does_not_follow_the_odd_one_out() -> None:
    intercept, slope = theil_sen([(x, 1000 + 60 * x) for x in range(1, 30)] + [(15, 99_999)])
    assert slope == pytest.approx(60)
    assert intercept == pytest.approx(1000)


def test_the_model_is_fitted_on_whole_calls_alone(tmp_path: Path) -> None:
    from flowkit.replay.material import gather
    from flowkit.replay.settings import recorded_plan

    trace = recorded(tmp_path, pipeline())
    calls = gather(trace, recorded_plan(trace)).calls["tts"]
    model = fit(spoken_in(calls))
    assert model is not None
    assert model.calls == sum(not call.cancelled for call in calls)
    spoken = model.speak("A text of some forty characters, or so.")
    audio = [item for _, item in spoken.items if isinstance(item, Audio)]
    assert sum(piece.samples for piece in audio) == audio[0].total


def test_audio_that_was_there_at_once_does_not_make_that_of_others_come_late() -> None:
    """As the greeting of an imported call has it. Its logarithm would make the spread that of minutes."""

    def call(text: str, first_us: int) -> RecordedCall:
        return RecordedCall(
            "tts", Speak(0, text), 0, [(first_us, 0, Audio(0, 0, 1600 * len(text), 16_000)), (first_us, 0, Done())]
        )

    greeting = [call(text, 0) for text in ("Hello, this is the Blue Door", " restaurant.", " How can I help you?")]
    others = [call("A table for two." * n, 30_000) for n in (1, 2, 3, 4)]
    model, alone = fit(spoken_in([*greeting, *others])), fit(spoken_in(others))
    assert model is not None
    assert alone is not None
    assert model.likely_first_us("What is free?") == 30_000
    assert model.spreads[0] == alone.spreads[0] < 0.25


def test_a_what_if_over_a_detector_that_skips_frames_keeps_its_turns() -> None:
    """Silero answers for 32 ms windows of 20 ms frames: not every frame has an answer, and none is made up."""
    trace = read_trace(Path(__file__).resolve().parents[2] / "traces" / "conversation.jsonl")
    answered = {row.message.frame for row in trace.rows() if isinstance(row.message, Probability)}
    assert len(answered) < 0.7 * sum(isinstance(row.message, Frames) and row.stage == "mic" for row in trace.rows())
    before = simulate(trace).report
    after = simulate(trace, overrides=("stages.vad.start=100ms",)).report
    assert [(turn.user, turn.end_reason) for turn in after.turns] == [
        (turn.user, turn.end_reason) for turn in before.turns
    ]
    for one, other in zip(before.turns, after.turns, strict=True):
        assert one.ttfa_us is not None
        assert other.ttfa_us is not None
        assert abs(one.ttfa_us - other.ttfa_us) <= 20_000


def test_a_tool_s_outcome_comes_as_long_after_its_call_as_then_and_is_never_asked_for() -> None:
    call = RecordedCall("tools", RunTools(), 0, [(1_500, 1_500, ToolOutcome("call_1", "result", "free"))])
    tools = RecordedTools(
        [call], [(1_000, ToolCall("call_1", "look", '{"n": 1}')), (9_000, ToolCall("call_2", "book", "{}"))]
    )
    opened = tools.open(RunTools())
    assert list(opened.fed(ToolCall("call_7", "look", '{"n": 2}'))) == [(500, ToolOutcome("call_7", "result", "free"))]
    assert list(opened.fed(ToolCall("call_8", "book", "{}"))) == [], "it had no outcome then"
    assert list(opened.fed(ToolCall("call_9", "pay", "{}"))) == []
    assert tools.assumed == [
        'tool look {"n": 2}: was recorded with other arguments',
        "tool pay {}: has no outcome in the trace",
    ]


def test_a_recording_that_ends_with_its_last_reply_is_no_regression_where_that_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``run --turns`` ends one. Here the code has become 300 ms slower: the recording is 300 ms ahead."""
    before = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris. That is it.",)))
    played_us = next(row.handled_us for row in before.rows() if isinstance(row.message, ReplyPlayed))

    def closed_then(*arguments: Any) -> Material:
        material = gather(*arguments)
        material.replies, material.shutdowns = 1, [(played_us - 300_000, Shutdown("closed"))]
        return material

    monkeypatch.setattr("flowkit.replay.simulate.gather", closed_then)
    replayed = simulate(before)
    assert [turn.end_reason for turn in replayed.report.turns] == ["completed"]
    assert replayed.rows[-1].handled_us <= played_us + before.layout.frame_us


def test_a_continuous_voice_ends_after_its_last_audio_also_where_the_reply_has_ended_long_before() -> None:
    """A model may write a reply faster than the voice gives its first sound."""
    speech = {"speech": [{"at": "0s", "lasts": "300ms"}]}
    said = {"replies": ({"text": "Well."},)}
    plan = narrated(scripted_plan(mic=speech, asr={"utterances": ("Hello?",)}, llm=said))
    pieces = [(400_000 + 50_000 * n, Audio(0, 1_200 * n, 1_200, 24_000)) for n in range(4)]
    items = [*pieces, (600_000, ClauseEnded(0, 4_800)), (600_000, Done())]
    call = RecordedCall("tts", Narrate(), 0, [(us, us, item) for us, item in items], fed=[(0, Speak(0, "Well."))])
    pump = HeapPump(plan, {**scripts_of(plan), "tts": RecordedVoice([call])})
    pump.run(until_us=20_000_000)
    (turn,) = measure(pump.engine.journal.rows, plan=plan).turns
    assert (turn.end_reason, turn.heard) == ("completed", "Well.")
