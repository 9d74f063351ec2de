"""Predictions say how sure they are: ranges, odds of turns, refusals, and what they rest on."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from math import exp, log
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from flowkit.cli import main
from flowkit.figures.outlook import Outlook, Range, Ranges, Sureness, TurnOdds
from flowkit.replay.chance import Chance, Delays, World, delays_of
from flowkit.replay.changes import matched
from flowkit.replay.fidelity import Fidelity
from flowkit.replay.predict import next_ranges, predict, ranges
from flowkit.replay.simulate import simulate
from flowkit.report.plain import summary
from flowkit.testing.suite.approved import snapshot
from flowkit.trace.reader import SessionEvent, Trace, read_trace
from tests.fidelity.world import talk, trace_of
from tests.trace.sessions import pipeline, run

KEPT = Path(__file__).resolve().parents[2] / "traces"
SOONER = ("stages.vad.end=300ms",)


def record_pipeline(folder: Path, speech: str, **stages: Any) -> Trace:
    session = run(text := pipeline(speech, **stages))
    return trace_of(session.plan, text, session.rows, reason=session.pump.engine.finished)


@pytest.fixture(scope="module")
def recorded() -> Path:
    return KEPT / "conversation.jsonl"


# -- worlds ------------------------------------------------------------------------------------------------------------


def test_a_world_is_the_same_on_every_run_and_each_is_another() -> None:
    one, again, other = (Chance(World.THIS, seed) for seed in ("a", "a", "b"))
    assert one.normal("what", 1) == again.normal("what", 1) != other.normal("what", 1)
    assert one.normal("what", 1) != one.normal("what", 2)
    assert {Chance(World.THIS, str(n)).index(3, 0, "which") for n in range(30)} == {0, 1, 2}
    assert one.drawn == ["what"]


def test_nothing_is_drawn_in_the_middle_world() -> None:
    middle = Chance()
    assert (middle.normal("a"), middle.index(5, 2, "b"), middle.happens(0.4, "c")) == (0.0, 2, False)
    assert middle.part(300, "d") == 150
    assert middle.drawn == ["a", "b", "c", "d"]
    assert delays_of([100_000, 300_000, 200_000]).drawn_us(middle, "delay") == 200_000


def test_drawn_delays_vary_as_the_recorded_ones_do() -> None:
    steady, wild = delays_of([200_000] * 20), delays_of([50_000, 800_000] * 10)
    drawn = [[kind.drawn_us(Chance(World.NEXT, str(n)), "delay", 1) for n in range(60)] for kind in (steady, wild)]
    assert max(drawn[0]) - min(drawn[0]) < 150_000
    assert max(drawn[1]) > 3 * min(drawn[1])
    assert all(us > 0 for us in drawn[0] + drawn[1])


def test_drawn_middles_are_as_far_from_the_truth_as_recorded_medians_are() -> None:
    """Nine recorded delays of one kind tell a middle. In each world the kind has another one, about as often that far away."""
    dice, spread, many = random.Random(5), 0.25, 2_000
    medians = [
        log(delays_of([round(3e5 * exp(dice.gauss(0, spread))) for _ in range(9)]).middle_us) for _ in range(many)
    ]
    kind = Delays(300_000, spread, 9)
    worlds = [Chance(World.NEXT, str(n)) for n in range(many // 10)]
    drawn = [fmean(log(kind.drawn_us(world, "delay", call)) for call in range(80)) for world in worlds]
    assert stdev(drawn) == pytest.approx(stdev(medians), rel=0.15)


# -- predictions -------------------------------------------------------------------------------------------------------


def test_the_same_bytes_on_every_run(recorded: Path) -> None:
    one, again = (predict(recorded, overrides=SOONER, worlds=4).report for _ in range(2))
    assert json.dumps(replace(one, wall_us=0).to_json()) == json.dumps(replace(again, wall_us=0).to_json())


def test_what_changes_nothing_is_no_prediction(recorded: Path) -> None:
    assert predict(recorded).report.outlook is None
    assert predict(recorded).report.digest == simulate(recorded).report.digest


def test_the_ranges_hold_the_figures_and_the_next_one_is_wider(recorded: Path) -> None:
    found = predict(recorded, overrides=SOONER, worlds=8).report
    outlook = found.outlook
    assert outlook is not None
    assert outlook.next is not None
    for figure in ("ttfa_p50", "turns"):
        value = getattr(ranges([found]), figure).low
        here = getattr(outlook.this, figure)
        assert here.low <= value <= here.high
    wide, narrow = outlook.next.ttfa_p50, outlook.this.ttfa_p50
    assert None not in (wide.low, wide.high, narrow.low, narrow.high)
    assert wide.high - wide.low > narrow.high - narrow.low  # type: ignore[operator]
    assert any(told.startswith("Prediction for the next conversation (90 % range): TTFA p50") for told in found.notices)


def test_a_range_is_that_of_its_worlds_and_no_wider(recorded: Path) -> None:
    trace = read_trace(recorded)
    alone, several = (next_ranges(trace, SOONER, worlds) for worlds in (1, 4))
    for figure in ("ttfa_p50", "ttfa_p95", "turns", "interrupts"):
        one, wider = getattr(alone, figure), getattr(several, figure)
        assert one.low == one.high
        assert wider.low <= one.low <= wider.high
    assert several.ttfa_p50.low != several.ttfa_p50.high


def test_turns_that_may_be_otherwise_are_marked_wherever_they_are_shown() -> None:
    found = predict(talk(400).trace, overrides=SOONER, worlds=10, following=False).report
    assert found.outlook is not None
    unsure = found.outlook.unsure()
    assert unsure
    assert found.outlook.verdict is not Sureness.CERTAIN
    assert {turn.turn for turn in found.turns if turn.odds} == set(unsure)
    marked = [turn for turn in found.turns if turn.odds]
    assert all("of the worlds" in turn.marks for turn in marked)
    assert [turn["odds"]["turn"] for turn in found.to_json()["turns"] if "odds" in turn] == list(unsure)
    plain, pages = summary(found), snapshot(found, {}, {})
    assert sum("of the worlds" in line for line in plain) == len(unsure)
    assert [turn["turn"] for turn in pages["turns"] if "odds" in turn] == list(unsure)


# -- refusals, and what a prediction rests on --------------------------------------------------------------------------


def test_what_the_recording_cannot_tell_is_refused(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recorded), "--set", "stages.vad.end=30s", "--worlds", "0"]) == 2
    told = capsys.readouterr().err
    assert "This prediction is not certain, because the user was never silent for more than" in told
    assert "record a conversation with a longer silence" in told
    assert "reproduce: flowkit replay" in told


def test_a_setting_as_recorded_is_not_beyond_the_recording(tmp_path: Path) -> None:
    """The user of this recording makes short breaks only."""
    trace = record_pipeline(tmp_path, "{at: 280ms, lasts: 400ms}, {at: 900ms, lasts: 400ms}", heard=("Well, hello.",))

    def refused(*settings: str) -> str:
        outlook = predict(trace, overrides=settings, worlds=2).report.outlook
        assert outlook is not None
        return "; ".join(outlook.refusal)

    assert "never silent" not in refused("stages.chunker.max_tokens=3")
    assert "never silent" not in refused("stages.vad.end=300ms")
    assert "never silent for more than 2" in refused("stages.vad.end=600ms")


def test_the_manifest_says_what_was_recorded_assumed_and_drawn(recorded: Path) -> None:
    outlook = predict(recorded, overrides=SOONER, worlds=1).report.outlook
    assert outlook is not None
    assert {"audio", "levels", "vad answers", "transcripts", "reply times"} <= set(outlook.rests_on["recorded"])
    assert "tool outcomes" in outlook.rests_on["missing"]
    assert outlook.rests_on["drawn"]


def test_a_manifest_that_lies_is_told(recorded: Path) -> None:
    trace = read_trace(recorded)
    claims = {"measured": ["tool outcomes", "audio"], "derived": ["transcripts"], "missing": ["vad answers"]}
    lying = replace(trace, events=(*trace.events, SessionEvent(0, "imported", json.dumps(claims))))
    report = predict(lying, overrides=SOONER, worlds=1).report
    assert "the manifest claims that tool outcomes were measured, but the trace has none" in report.notices
    assert "the manifest claims that there are no vad answers, but the trace has them" in report.notices
    assert report.outlook is not None
    assert "transcripts" not in report.outlook.rests_on["recorded"]
    assert any("the trace has no vad answers" in why for why in report.outlook.refusal)


@pytest.mark.parametrize("detail", ["", "[1, 2]", '{"measured": 3}', "{" * 50])
def test_a_manifest_that_is_none_counts_as_nothing(recorded: Path, detail: str) -> None:
    trace = read_trace(recorded)
    odd = replace(trace, events=(*trace.events, SessionEvent(0, "imported", detail)))
    outlook = predict(odd, overrides=SOONER, worlds=0, following=False).report.outlook
    assert outlook is not None
    assert "audio" in outlook.rests_on["recorded"]


# -- parts -------------------------------------------------------------------------------------------------------------


def test_turns_are_the_same_if_they_answer_the_same_speech() -> None:
    a = {1: [(0, 10)], 2: [(20, 30), (40, 50)], 3: [(60, 70)]}
    assert matched(a, a) == {1: 1, 2: 2, 3: 3}
    assert matched(a, {1: [(0, 30)], 2: [(42, 50)], 3: [(60, 70)]}) == {1: 1, 2: 2, 3: 3}
    assert matched(a, {1: [(60, 66)]}) == {3: 1}
    assert matched({1: [], 2: [(5, 9)]}, {4: [], 5: [(5, 6)]}) == {1: 4, 2: 5}


def test_an_outlook_is_as_sure_as_its_turns() -> None:
    nothing = Ranges(Range(None, None), Range(None, None), Range(1, 1), Range(0, 0))
    sure, unsure = TurnOdds(1, "Hi", 1.0, 0.0), TurnOdds(2, "So", 0.9, 0.9)
    known = Outlook(20, nothing, None, (sure,))
    assert known.verdict is Sureness.CERTAIN
    assert replace(known, turns=(sure, unsure)).verdict is Sureness.UNCERTAIN
    assert replace(known, turns=(sure, replace(sure, turn=0, exists=0.3))).verdict is Sureness.UNCERTAIN
    assert replace(known, refusal=("too little",)).verdict is Sureness.CANNOT_JUDGE
    assert "turn 2 exists in 90% of the worlds, interrupted in 90%" in list(replace(known, turns=(unsure,)).lines())


def test_ranges_get_as_wide_as_recordings_say() -> None:
    found = Fidelity({"ttfa_p50": [-50_000, -10_000, 30_000]})
    assert found.covered("ttfa_p50") == pytest.approx(2 / 3)
    assert found.wider_us("ttfa_p50") is None, "three recordings are too few"
    many = Fidelity({"ttfa_p50": [*range(-90_000, 100_000, 10_000)]})
    assert many.wider_us("ttfa_p50") == 80_000


def test_fidelity_predicts_recordings_from_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(KEPT / f"{name}.jsonl") for name in ("plain-answer", "noisy-room")]
    assert main(["fidelity", *names]) == 0
    assert "of 2 predictions of the next conversation held" in capsys.readouterr().out
    assert main(["fidelity", names[0]]) == 2
    assert "only one is given" in capsys.readouterr().err
