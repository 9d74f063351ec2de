"""``flowkit replay``, ``diff`` and ``trace``, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.trace.reader import read_trace
from tests.replay.test_rerun import recorded
from tests.trace.sessions import pipeline


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("trace"), pipeline()).path


def test_simulated_and_exact(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path)]) == 0
    out = capsys.readouterr().out
    assert "simulated" in out
    assert "turn 1: interrupted, first audio after 860 ms = endpointing 400" in out
    assert main(["replay", "--exact", str(path), str(path)]) == 0
    assert capsys.readouterr().out.count(read_trace(path).digest) == 2


def test_json_has_the_contracts_keys(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--format", "json", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    wanted = {
        "flowkit",
        "trace",
        "level",
        "digest",
        "messages",
        "audio_s",
        "wall_s",
        "modelled_share",
        "turns",
        "interrupts",
    }
    assert wanted | {"queues", "summary"} == set(told)
    assert told["level"] == "simulated"
    of_turn = {"turn", "user", "agent", "heard", "end_reason", "ttfa_ms", "parts_ms", "clauses"}
    assert set(told["turns"][0]) == of_turn
    assert sum(told["turns"][0]["parts_ms"].values()) == told["turns"][0]["ttfa_ms"]
    assert set(told["interrupts"][0]["discarded"]) == {"tokens", "clauses", "frames"}


def test_what_if_prints_the_modelled_share(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path), "--set", "stages.chunker.max_tokens=6"]) == 0
    out = capsys.readouterr().out
    assert "what_if" in out
    assert "modelled: 43% of the clauses" in out
    assert "(modelled)" in out


def test_a_refused_change_names_the_setting(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path), "--set", "stages.llm.first_token=1ms"]) == 2
    assert "stages.llm.first_token" in capsys.readouterr().err


def test_exact_with_changes_is_a_mistake(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--exact", str(path), "--set", "stages.vad.end=1s"]) == 2
    assert "--exact changes nothing, so it cannot be combined" in capsys.readouterr().err


def test_a_mismatch_ends_with_the_command_that_shows_it_again(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowkit.stages.chunking import Chunking

    monkeypatch.setattr(Chunking, "step", lambda self, state, message, now_us: ())
    assert main(["replay", "--exact", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"reproduce: flowkit replay {path} --exact"
    assert any("first difference" in line for line in lines)
    assert any("because of" in line for line in lines)


def test_permuted_ties_say_that_nothing_depends_on_them(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path), "--permute-ties", "3"]) == 0
    assert "3 other orders of simultaneous events: the same figures" in capsys.readouterr().err


def test_no_trace_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none.jsonl")]) == 2
    assert "there is no" in capsys.readouterr().err


def test_diff_of_a_trace_and_its_replay(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(path)]) == 0
    assert "the same messages" in capsys.readouterr().out
    assert main(["diff", str(path), "--set", "stages.chunker.max_tokens=6"]) == 1
    out = capsys.readouterr().out
    assert "first difference, at stage" in out
    assert "because of" in out
    assert "TTFA 860.0 -> 840.0 ms (modelled): clause_fill" in out


def test_diff_of_two_traces_as_json(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = recorded(tmp_path, pipeline(vad="end: 700ms")).path
    assert main(["diff", "--format", "json", str(path), str(other)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["same"]
    assert told["first_difference"]["causes_a"]
    assert told["b"]["turns"][0]["parts_ms"]["endpointing"] == 700.0


def test_trace_info_repair_redact_export(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", str(path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["turns"] == 2
    assert [sound["state"] for sound in told["sound"]] == ["there", "there"]
    assert main(["trace", "repair", str(path)]) == 0
    assert "is complete" in capsys.readouterr().out
    cut, mended = tmp_path / "cut.jsonl", tmp_path / "mended.jsonl"
    cut.write_bytes(path.read_bytes()[:20_000])
    assert main(["trace", "repair", str(cut), "-o", str(mended)]) == 0
    assert main(["replay", "--exact", str(mended)]) == 0
    masked = tmp_path / "masked.jsonl"
    capsys.readouterr()
    assert main(["trace", "redact", str(path), "-o", str(masked)]) == 0
    assert main(["replay", "--exact", str(masked)]) == 0
    assert "only the timing" in capsys.readouterr().err
    assert main(["trace", "export", str(path)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == told["rows"]
    assert [row["kind"] for row in rows[:2]] == ["Capture", "Detect"]
    assert "Frames" in {row["kind"] for row in rows}
    assert main(["trace", "export", "--to", "otlp", str(path)]) == 0
    assert len(json.loads(capsys.readouterr().out)["resourceSpans"]) == len(path.read_bytes().splitlines())


def test_what_approve_does_not_do_is_said(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_bytes(path.read_bytes())
    Path("agent.yaml").write_text(pipeline())
    assert main(["approve", "nowhere.jsonl"]) == 2
    assert "there is no nowhere.jsonl" in capsys.readouterr().err
    assert main(["approve", "a.jsonl", "--yes"]) == 0
    assert "a.expect.yaml: the test has the recorded configuration, so it will not see" in capsys.readouterr().err
    # It is a test already, and `--pipeline` is for new ones.
    assert main(["approve", "a.jsonl", "--pipeline", "agent.yaml", "--yes"]) == 0
    assert "not with --pipeline; to change that, write `pipeline: agent.yaml` in it" in capsys.readouterr().err
    Path("a.expect.yaml").write_text("pipeline: ./agent.yaml\n" + Path("a.expect.yaml").read_text())
    assert main(["approve", "a.jsonl", "--pipeline", "agent.yaml", "--yes"]) == 0
    assert capsys.readouterr().err == ""


def test_recordings_of_different_pipelines_predict_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(__file__).parents[2] / "traces/conversation.jsonl"
    assert main(["fidelity", str(path), str(other)]) == 2
    assert "are recordings of different pipelines" in capsys.readouterr().err


def test_fidelity_sets_what_the_other_recording_was_made_with(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing values too: a pipeline file has another word for them than Python."""
    other = recorded(tmp_path, pipeline(gate="while: {speaking: {min_words: 2}}")).path
    assert main(["fidelity", str(path), str(other)]) == 0
    assert "predictions of the next conversation held" in capsys.readouterr().out
