"""One turn becomes a test, and what leaves a trace for other tools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from flowkit.calls.export import lines_of, stereo_of, subtitles
from flowkit.calls.pin import pin, turn_at
from flowkit.cli import main
from flowkit.errors import TraceError, UsageError
from flowkit.figures.metrics import measure
from flowkit.replay import exactly, run
from flowkit.trace.reader import read_trace
from tests.calls.support import call_from, talk

TRACES = Path(__file__).parents[2] / "traces"


# -- pin ---------------------------------------------------------------------------------------------------------------


def test_a_turn_becomes_a_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["pin", str(TRACES / "busy.jsonl"), "--turn", "2", "--name", "Cut off, again!", "--into", str(tmp_path)]
    assert main(line) == 0
    path = tmp_path / "cut-off-again.jsonl"
    assert main(["test", str(tmp_path)]) == 0
    assert exactly(read_trace(path)).difference is None
    assert [turn.turn for turn in run(path).report.turns][:2] == [1, 2]
    text = path.with_name("cut-off-again.expect.yaml").read_text()
    assert "Madrid" in text
    # It fails if the turn is another one.
    path.with_name("cut-off-again.expect.yaml").write_text("set: [stages.vad.end=900ms]\n" + text)
    assert main(["test", str(tmp_path)]) == 1


def test_the_expectation_may_be_ones_own(tmp_path: Path) -> None:
    own = "{turn: 1, what: ttfa, within: 100ms}"
    line = ["pin", str(TRACES / "busy.jsonl"), "--at", "1s", "--name", "slow", "--into", str(tmp_path), "--expect", own]
    assert main(line) == 0
    assert main(["test", str(tmp_path)]) == 1


def test_the_sound_is_cut_too(tmp_path: Path) -> None:
    whole = read_trace(TRACES / "conversation.jsonl")
    part = read_trace(pin(whole, 1, "first", tmp_path))
    assert part.end is not None
    assert whole.end is not None
    for short, long in zip(part.end.sounds, whole.end.sounds, strict=True):
        assert 0 < short.samples < long.samples
    assert run(part).report.turns[0].ttfa_us == run(whole).report.turns[0].ttfa_us


def test_a_time_is_in_a_turn() -> None:
    trace = read_trace(TRACES / "busy.jsonl")
    assert [turn_at(trace, us) for us in (400_000, 5_250_000, 7_000_000, 60_000_000)] == [1, 1, 2, 4]


def test_there_is_no_such_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = read_trace(TRACES / "busy.jsonl")
    with pytest.raises(UsageError, match="no turn 9"):
        pin(trace, 9, "a", tmp_path)
    with pytest.raises(UsageError, match="no turn has begun"):
        turn_at(trace, 0)
    assert main(["pin", str(trace.path), "--at", "soon", "--name", "a", "--into", str(tmp_path)]) == 2
    assert (
        main(["pin", str(trace.path), "--turn", "1", "--name", "a", "--into", str(tmp_path), "--expect", "{what: x}"])
        == 2
    )


# -- export ------------------------------------------------------------------------------------------------------------


def test_both_sides_sound_when_they_sounded() -> None:
    trace = read_trace(TRACES / "conversation.jsonl")
    sound = stereo_of(trace)
    for line in lines_of(trace):
        side = np.abs(sound[:, int(line.who == "agent")].astype(int))
        begin, end = (us * 16 // 1000 for us in (line.begin_us, line.end_us))
        assert side[begin:end].max() > 1000
        if line.who == "agent":
            assert not side[begin - 320 : begin].any()  # nothing sounds before it


def test_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stereo, turns, vtt = (str(tmp_path / name) for name in ("a.wav", "a.json", "a.vtt"))
    trace = str(TRACES / "conversation.jsonl")
    assert main(["trace", "export", trace, "--stereo", stereo, "--turns", turns, "--subtitles", vtt]) == 0
    assert soundfile.info(stereo).channels == 2
    told = json.loads(Path(turns).read_text())
    recorded = read_trace(trace)
    report = measure(recorded.rows(), plan=recorded.layout, voiced=recorded.reference)
    agent = [one for one in told if one["who"] == "agent"]
    assert [one["ttfa_ms"] for one in agent] == [
        turn.ttfa_us / 1000 for turn in report.turns if turn.ttfa_us is not None
    ]
    for user, answer in zip([one for one in told if one["who"] == "user"], agent, strict=True):
        assert abs(answer["start_ms"] - user["end_ms"] - answer["ttfa_ms"]) <= 20
    assert Path(vtt).read_text().startswith("WEBVTT\n\n00:")
    # What was exported can be imported.
    assert len(call_from(Path(turns)).agent) == len(agent)


def test_subtitles_are_escaped() -> None:
    lines = [line._replace(text="a <b>\n\n& c") for line in lines_of(read_trace(TRACES / "busy.jsonl"))[:1]]
    assert subtitles(lines).endswith("<v user>a &lt;b&gt; &amp; c\n")


def test_a_trace_without_sound_has_none_to_export(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no sound"):
        stereo_of(read_trace(talk(tmp_path / "a.jsonl", ["One."])))
