"""``flowkit bench turns``: labels, policies by the VAD stage's own rule, and recordings that are really heard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flowkit.cli import main
from flowkit.errors import InputError
from flowkit.messages import EndOfUtterance, Message, Partial, Prediction, Probability
from flowkit.stages.endpointing import Endpointing, Silences
from flowkit.testing.sessions import heap_session, scripted_plan
from flowkit.testing.turns.labels import Labelled, Labels, UserTurn, collect, read_labels
from flowkit.testing.turns.listening import HeardRecording
from flowkit.testing.turns.plot import front, plot
from flowkit.testing.turns.policies import Policy, alone, best, grid, judged, share_at
from flowkit.testing.turns.result import measured
from tests.suite.stage import project

QUESTION = Path(__file__).resolve().parents[2] / "pipelines/audio/question.wav"
OPTIONS = Endpointing.Options()
TURN = UserTurn(begins=0.2, ends=2.0, pauses=((0.8, 1.4),), kinds=("phrase",))


def heard(*predictions: tuple[int, float], turn: UserTurn = TURN) -> HeardRecording:
    """A voice in frames of 20 ms that is exactly where the label says, and predictions at milliseconds."""
    silent = [range(round(a * 50), round(b * 50)) for a, b in turn.pauses]
    voiced = [
        turn.begins * 50 <= frame < turn.ends * 50 and not any(frame in pause for pause in silent)
        for frame in range(200)
    ]
    messages: list[tuple[int, Message]] = [
        ((frame + 1) * 20_000, Probability(frame, 1.0 if voice else 0.0)) for frame, voice in enumerate(voiced)
    ]
    messages += [(ms * 1000, Prediction(p, "words", ms // 20)) for ms, p in predictions]
    messages.sort(key=lambda message: message[0])
    return HeardRecording(
        Labelled(Path("a.wav"), Labels(turns=(turn,))), 20_000, tuple(messages), ((900_000, Partial("and then", 40)),)
    )


def test_silence_alone_cuts_every_shorter_pause() -> None:
    assert [(outcome.cut, outcome.mean_ms) for outcome in (judged(policy, [heard()], OPTIONS) for policy in alone())] == [
        (1, 100.0), (1, 200.0), (1, 300.0), (1, 400.0), (1, 500.0),
        (1, 600.0), (0, 700.0), (0, 800.0), (0, 900.0), (0, 1000.0), (0, 1200.0),
    ]  # fmt: skip


def test_a_prediction_shortens_and_lengthens_the_silence() -> None:
    policy = Policy("", Silences())
    knows = judged(policy, [heard((900, 0.1), (2_100, 0.9))], OPTIONS)
    assert (knows.cut, knows.mean_ms, knows.turns[0].end) == (
        0,
        200.0,
        EndOfUtterance(1, 99, False, "complete", "words", 0.9),
    )
    late = judged(policy, [heard((900, 0.1), (2_300, 0.9))], OPTIONS)
    assert (late.cut, late.mean_ms) == (0, 320.0)
    wrong = judged(policy, [heard((900, 0.9), (2_100, 0.1))], OPTIONS)
    assert (wrong.cut, wrong.mean_ms, wrong.by_kind()) == (1, 1200.0, {"phrase": (1, 1)})


def test_what_the_bench_says_is_what_a_session_does() -> None:
    """The policies are run by the stage itself, so a session with the same settings ends its turns at the same times."""
    plan = scripted_plan(
        mic={"speech": [{"at": "200ms", "lasts": "600ms"}, {"at": "1400ms", "lasts": "600ms"}], "length": "4s"},
        vad={"end": {"complete": "200ms"}},
        asr={"utterances": ("What is it?",)},
        turn={"likelihood": (0.1, 0.1, 0.1, 0.9)},
        llm={"replies": ({"text": "It is."},)},
    )
    rows = heap_session(plan).journal.rows
    kinds = (Probability, Prediction)
    messages = tuple(
        (row.handled_us, row.message) for row in rows if row.stage == "vad" and isinstance(row.message, kinds)
    )
    one = HeardRecording(Labelled(Path("a.wav"), Labels(turns=(TURN,))), 20_000, messages, ())
    vad = plan.stage("vad").options
    assert isinstance(vad, Endpointing.Options)
    outcome = judged(Policy("", vad.end), [one], vad)
    live = [row.handled_us for row in rows if row.stage == "gate" and isinstance(row.message, EndOfUtterance)]
    assert outcome.turns[0].delay_us is not None
    assert live == [*(us for _, us, _ in outcome.turns[0].cuts), 2_000_000 + outcome.turns[0].delay_us]


def test_an_end_while_the_user_speaks_counts_apart() -> None:
    outcome = judged(Policy("", 100_000), [heard(turn=UserTurn(begins=0.2, ends=2.0, pauses=()))], OPTIONS)
    assert (outcome.pauses, outcome.cut, outcome.cut_elsewhere) == (0, 0, 0)
    gap = heard(turn=TURN)
    unlabelled = HeardRecording(
        Labelled(Path("a.wav"), Labels(turns=(UserTurn(begins=0.2, ends=2.0),))), 20_000, gap.messages, ()
    )
    assert judged(Policy("", 100_000), [unlabelled], OPTIONS).cut_elsewhere == 1


def test_the_best_policy_and_silence_alone_at_the_same_delay() -> None:
    recordings = [heard((900, 0.1), (2_100, 0.9)), heard((900, 0.1), (2_100, 0.5))]
    outcomes = [judged(policy, recordings, OPTIONS) for policy in grid()]
    found = best(outcomes, 400)
    assert found is not None
    assert (found.cut, found.mean_ms <= 400) == (0, True)
    assert best(outcomes, 100) is None
    silent = [judged(policy, recordings, OPTIONS) for policy in alone()]
    assert (share_at(silent, 650), share_at(silent, 50)) == (0.5, None)
    assert [outcome.mean_ms for outcome in front(silent)] == [100.0, 700.0]


def test_the_result_says_where_a_predictor_harms() -> None:
    plan = scripted_plan(vad={"end": {"complete": "200ms"}}, turn={"likelihood": (0.5,)})
    turn = UserTurn(begins=0.2, ends=2.0, pauses=((0.8, 1.2),))
    result = measured("pipeline", plan, [heard((900, 0.9), (2_100, 0.1), turn=turn)])
    assert [str(harm) for harm in result.harms] == [
        "a.wav: pause cut by words 0.90: 'and then'",
        "a.wav: waited 700 ms more by words 0.10: 'and then'",
    ]
    assert result.to_json()["in_use"]["cut"] == 1
    text = plot([result])
    assert text.count('r="9"') == 1
    assert text.count("<circle") == len(result.alone) + len(front(result.grid)) + 1


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("[", "not JSON"),
        ({"turns": []}, "turns or interruptions are needed"),
        ({"turns": [{"begins": 1}]}, "turns.0.ends: Field required"),
        ({"turns": [{"begins": 1, "ends": 0.5}]}, "must rise"),
        ({"turns": [{"begins": 1, "ends": 2, "pauses": [[1.5, 2.5]]}]}, "must rise"),
        ({"turns": [{"begins": 1, "ends": 2, "kinds": ["x"]}]}, "kinds must name each pause"),
        ({"turns": [{"begins": 1, "ends": 2, "end": 3}]}, "turns.0.end: Extra inputs"),
        ({"turns": [{"begins": 1, "ends": 2}, {"begins": 1.5, "ends": 3}]}, "each must begin after"),
    ],
)
def test_wrong_labels_say_what_is_wrong(value: Any, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(InputError, match=r"a\.json") as caught:
        read_labels(path)
    assert fault in str(caught.value)


def test_labels_of_a_whole_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recording has labels"):
        list(collect([str(tmp_path)]))
    listed = tmp_path / "labels.jsonl"
    listed.write_text('{"file": "b.wav", "segments": [[0.5, 1.0], [1.4, 2.0]], "text": "So ... what"}\n')
    (found,) = collect([str(tmp_path)])
    assert (found.path, found.turns[0].pauses) == (tmp_path / "b.wav", ((1.0, 1.4),))
    listed.write_text('{"file": "b.wav"}\n')
    with pytest.raises(InputError, match=r"labels.jsonl:1: needs `file` and `segments`"):
        list(collect([str(tmp_path)]))


LIGHT = """flowkit: 1
name: light
stages:
  - {kind: mic}
  - {kind: vad, provider: webrtcvad, end: {}}
  - {kind: asr, provider: scripted}
  - {kind: turn, provider: words}
  - {kind: gate}
  - {kind: llm, provider: canned, text: Yes.}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker}
"""


def test_a_recording_is_heard_faster_than_life(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("webrtcvad")
    shutil.copy(QUESTION, tmp_path / "question.wav")
    turn = {"begins": 0.3, "ends": 1.76, "parts": ["What is the capital of France?"], "asked": "Yes?"}
    (tmp_path / "question.json").write_text(json.dumps({"turns": [turn]}))
    (tmp_path / "light.yaml").write_text(LIGHT)
    arguments = ["bench", "turns", str(tmp_path), "--pipeline", str(tmp_path / "light.yaml"), "--format", "json"]
    assert (
        main([*arguments, "--from-labels", "--set", "stages.vad.end.unsure=900ms", "--plot", str(tmp_path / "a.svg")])
        == 0
    )
    first, second = json.loads(capsys.readouterr().out)
    assert (first["in_use"]["turns"], first["in_use"]["missed"], first["in_use"]["pauses"]) == (1, 0, 0)
    assert first["title"] == "pipeline"
    assert second["in_use"]["policy"] == "200/900/1200ms at 0.7/0.3"
    assert second["alone"] == first["alone"]
    assert (tmp_path / "a.svg").read_text().count('r="9"') == 2


def test_a_trace_is_read_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, "a")
    assert main(["bench", "turns", str(tmp_path / "a.jsonl")]) == 2
    assert "a.jsonl.labels.json: labels cannot be read" in capsys.readouterr().err
    (tmp_path / "a.jsonl.labels.json").write_text('{"turns": [{"begins": 0.1, "ends": 0.9}]}')
    assert main(["bench", "turns", str(tmp_path / "a.jsonl")]) == 0
    assert "1 turn, 0 pauses" in capsys.readouterr().out
