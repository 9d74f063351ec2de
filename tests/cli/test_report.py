"""``flowkit report``: on the terminal, as an HTML page, and the arguments that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowkit.cli import main
from tests.suite.stage import project


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    project(tmp_path, "a")
    return tmp_path / "a.jsonl"


def test_on_the_terminal_each_turn_has_its_lanes_clauses_and_delay(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(trace)]) == 0
    said = capsys.readouterr().out
    assert "turn 1: 'What is the capital of France?', interrupted" in said
    assert [
        lane
        for lane in ("user", "vad", "asr", "gate", "llm", "chunker", "tts", "playback")
        if f"\n{lane}  " not in said
    ] == []
    assert "[sentence, " in said
    assert "interrupted, silent 60 ms after speech began" in said
    assert "first audio after " in said


def test_a_page_with_the_replay_beside_the_recording(trace: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.html"
    assert main(["report", str(trace), "--set", "stages.vad.end=500ms", "-o", str(out)]) == 0
    text = out.read_text("utf-8")
    assert "a.jsonl, replayed" in text
    assert len(text) < 3_000_000


def test_a_page_and_a_comparison_name_the_faults(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault, out = "llm: fail in turn 1", tmp_path / "out.html"
    assert main(["report", str(trace), "--fault", fault, "-o", str(out)]) == 0
    assert f"a.jsonl, replayed, {fault}" in out.read_text("utf-8")
    capsys.readouterr()
    assert main(["diff", str(trace), "--fault", fault, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["b"]["injected"] == [{"fault": fault, "turns": [1]}]


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["T", "T", "T"], "one trace, or two"),
        (["T", "T", "--set", "a=b"], "show the replay of one trace"),
        (["nowhere.jsonl"], "cannot read"),
        (["T", "-o", "/proc/none/out.html"], "cannot write"),
    ],
)
def test_what_it_refuses(trace: Path, args: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *(str(trace) if arg == "T" else arg for arg in args)]) == 2
    assert what in capsys.readouterr().err
