"""Predictions against what would really have happened, on twenty conversations. ``tests/benchmarks/bench_prediction.py`` has
any number, for every setting."""

from __future__ import annotations

import pytest

from flowkit.replay.simulate import simulate
from tests.benchmarks.bench_prediction import SETTINGS
from tests.fidelity.score import Score, aligned
from tests.fidelity.world import talk

NAMES = (
    "end 300",
    "end 450",
    "end 600",
    "end 900",
    "start 160",
    "threshold .7",
    "speech_for 400",
    "min_words 2",
    "first 12",
    "tts queue 1",
)
SEEDS = range(1, 21)


@pytest.fixture(scope="module")
def scores() -> tuple[Score, Score]:
    """Each conversation with one setting: predicted, and assuming that nothing changes."""
    predicted, unchanged = Score(), Score()
    for seed in SEEDS:
        overrides = SETTINGS[NAMES[seed % len(NAMES)]]
        before, true = talk(seed), talk(seed, overrides).report.turns
        predicted.add(simulate(before.trace, overrides=overrides).report.turns, true)
        unchanged.add(before.report.turns, true)
    return predicted, unchanged


def test_hardly_any_turn_is_missing_invented_or_ended_otherwise(scores: tuple[Score, Score]) -> None:
    predicted, unchanged = scores
    assert predicted.turns > 100
    assert predicted.wrong <= max(0.03 * predicted.turns, unchanged.wrong / 2)
    assert unchanged.wrong >= 4, "the settings make a difference"


def test_as_many_turns_and_interruptions_as_there_are(scores: tuple[Score, Score]) -> None:
    predicted, _ = scores
    assert abs(predicted.predicted - predicted.turns) <= 0.05 * predicted.turns
    assert abs(predicted.interrupted_predicted - predicted.interrupted) <= max(2, 0.05 * predicted.interrupted)


def test_the_first_sound_comes_when_it_would_have_come(scores: tuple[Score, Score]) -> None:
    figures = scores[0].to_json()["ttfa_error_ms"]
    assert figures["median"] <= 20
    assert figures["p90"] <= 60


def test_the_same_seed_is_the_same_talk_and_fresh_noise_another() -> None:
    assert talk(3).rows == talk(3).rows
    turns, fresh = talk(3).report.turns, talk(3, fresh=1).report.turns
    assert next(turn.user.split()[:1] for turn in turns) == next(turn.user.split()[:1] for turn in fresh)
    assert [turn.ttfa_us for turn in turns] != [turn.ttfa_us for turn in fresh]


def test_turns_are_compared_by_what_was_said() -> None:
    turns = talk(1).report.turns
    assert aligned(turns, turns) == list(zip(turns, turns, strict=True))
    without = (*turns[:1], *turns[2:])
    score = Score()
    assert score.add(without, turns) == 1
    assert score.add(turns, without) == 1
