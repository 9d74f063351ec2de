"""End-of-turn predictors in a replay: recorded probabilities are given again, and another predictor is computed by the replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.engine import Row
from flowkit.errors import UsageError
from flowkit.messages import EndOfUtterance, Frames, Prediction, SpeechStopped
from flowkit.plan.graph import ProviderChoice
from flowkit.providers.base import Surroundings
from flowkit.providers.turn_sound import SoundPredictor, TurnSound
from flowkit.replay.material import RecordedCall
from flowkit.replay.predicted import ComputedSound, RecordedSound, computed
from flowkit.replay.settings import recorded_plan
from flowkit.replay.simulate import simulate
from flowkit.trace.reader import read_trace
from tests.suite.stage import project


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predicted")
    project(folder, "a", vad="end: {complete: 200ms}", turn="likelihood: [0.9]")
    return folder / "a.jsonl"


def ends(rows: list[Row]) -> list[tuple[str, str]]:
    found = (row.message for row in rows if row.stage == "gate")
    return [(end.why, end.by) for end in found if isinstance(end, EndOfUtterance)]


def test_another_threshold_sees_the_recorded_probabilities(trace: Path) -> None:
    replayed = simulate(trace, overrides=("stages.vad.end.likely=0.95",))
    assert ends(replayed.rows) == [("unsure", "scripted")] * 2
    assert not [notice for notice in replayed.report.notices if "computed by the replay" in notice]


def test_another_predictor_of_words_is_computed_anew_and_marked(trace: Path) -> None:
    replayed = simulate(trace, overrides=("stages.turn={kind: turn, provider: words}",))
    assert {by for _, by in ends(replayed.rows)} == {"words"}
    assert "assumed: turn: words computed by the replay instead of scripted" in replayed.report.notices


class Longer(SoundPredictor):
    """The longer the turn, the likelier."""

    name = "longer"

    def judge(self, pcm: bytes) -> float:
        return min(1.0, len(pcm) / 64_000)


def test_a_predictor_of_sound_needs_recorded_sound(trace: Path) -> None:
    read = read_trace(trace)
    choice = ProviderChoice("longer", Longer, Longer.Options())
    with pytest.raises(UsageError, match="no recorded sound"):
        computed(choice, recorded_plan(read), read, lambda frame: frame)


def test_a_predictor_of_sound_judges_the_recorded_frames() -> None:
    around = Surroundings(16_000, 20_000, lambda: 0, lambda line: None)
    script = ComputedSound(Longer(Longer.Options(), around), TurnSound(320, 20_000), lambda frame: bytes(640))
    call = script.open(Frames(0, 1))
    assert list(call.fed(Frames(0, 25))) == []
    assert list(call.fed(SpeechStopped(20))) == [(60_000, Prediction(0.25, "longer", 24))]


def test_recorded_judgements_belong_to_their_pause() -> None:
    call = RecordedCall("turn", Frames(0, 1), 0)
    call.items = [
        (1_060_000, 1_060_000, Prediction(0.2, "longer", 49)),
        (2_070_000, 2_070_000, Prediction(0.8, "longer", 99)),
    ]
    arrivals = {frame: (frame + 1) * 20_000 for frame in range(200)}
    script = RecordedSound([call], arrivals, lambda frame: frame - 10).open(Frames(0, 1))
    list(script.fed(Frames(100, 5)))
    assert list(script.fed(SpeechStopped(103))) == [(70_000, Prediction(0.8, "longer", 104))]
    assert list(script.fed(SpeechStopped(50))) == [(60_000, Prediction(0.2, "longer", 104))]
    assert list(script.fed(SpeechStopped(150))) == []
