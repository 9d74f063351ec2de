"""What is collected, and what is said of what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.cli import main
from tests.suite.stage import project

CASE = "  - name: {}\n    chunker: {{feed: ['One. ', 'Two.'], expect: {}}}\n"


def cases(*names: str, expect: str = "['One.', 'Two.']") -> str:
    return "tests:\n" + "".join(CASE.format(name, expect) for name in names)


def test_a_folder_without_tests_is_exit_code_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert main(["test", str(tmp_path)]) == 5
    assert "no tests found" in capsys.readouterr().err


def test_a_path_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(tmp_path / "x")]) == 2
    assert "there is no" in capsys.readouterr().err


def test_chunker_cases_pass_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, text=cases("a", "b"))
    assert main(["test", str(path)]) == 0
    assert "2 passed" in capsys.readouterr().out
    project(tmp_path, text=cases("a", expect="['One. Two.']"))
    assert main(["test", str(path)]) == 1
    said = capsys.readouterr().out
    assert f"again: flowkit test {path}::a" in said
    assert "- 'One. Two.'" in said


def test_one_test_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, text=cases("a", "b"))
    assert main(["test", f"{path}::b", "-v"]) == 0
    said = capsys.readouterr().out
    assert " b ... passed" in said
    assert " a ... " not in said
    assert main(["test", f"{path}::c"]) == 2
    assert "tests: a, b" in capsys.readouterr().err


def test_two_tests_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, text=cases("a", "b", "a"))
    assert main(["test", str(path)]) == 2
    assert "two tests have the name 'a'" in capsys.readouterr().out


def test_expectations_without_their_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gone.expect.yaml").write_text("expect: []\n", encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 2
    assert "there is no trace gone.jsonl beside it" in capsys.readouterr().out


def test_recordings_that_no_test_uses_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, "loose", "used")
    trace = "tests:\n  - {name: a, trace: used.jsonl, expect: [{what: turns, equals: 2}]}\n"
    path.write_text(path.read_text("utf-8") + trace, encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "loose.jsonl: no test uses this recording" in said
    assert "used.jsonl: no test" not in said


def test_a_file_that_is_wrong_does_not_hide_the_tests_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project(tmp_path, text=cases("a"))
    (tmp_path / "wrong.yaml").write_text("flowkit: 1\nstages: [{kind: what}]\n", encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert f"{tmp_path / 'wrong.yaml'}:2" in said
    assert "1 passed" in said
    assert path.exists()


@pytest.mark.parametrize(
    ("test", "what"),
    [
        ("{name: a}", "needs chunker, or expect"),
        ("{name: a, expect: [{what: turns, equals: 1}], inject: [{speech: 1s}]}", "needs one of at and after"),
        ("{name: a, expect: [{what: turns, equals: 1}], inject: [{slow: tts}]}", "needs by"),
        ("{name: a, expect: [{what: turns, equals: 1}], chunker: {feed: [], expect: []}}", "sessions"),
        ("{name: a, expect: [{what: agent, contains: x}]}", "add turn"),
    ],
)
def test_tests_that_mean_nothing_are_refused_in_their_place(
    tmp_path: Path, test: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project(tmp_path)
    path.write_text(path.read_text("utf-8") + f"tests:\n  - {test}\n", encoding="utf-8")
    lines = len(path.read_text("utf-8").splitlines())
    assert main(["test", str(path)]) == 2
    said = capsys.readouterr().out
    assert what in said
    assert f"{path}:{lines}" in said
