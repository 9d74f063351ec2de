"""``flowkit test``: what it prints and writes for people, CI servers and GitHub."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from flowkit.cli import main
from tests.suite.stage import project

FAILING = "tests:\n  - {name: 'a|<b>\\x01', chunker: {feed: ['One. Two.'], expect: ['One, two.']}}\n"


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    return project(tmp_path, text=FAILING.replace("'a|<b>\\x01'", '"a|<b>\\x01"'))


def test_junit_is_well_formed_whatever_tests_are_called(failing: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "junit.xml"
    assert main(["test", str(failing), "--report", f"junit={out}"]) == 1
    root = ET.parse(out).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("1", "1", "0")
    [case] = root.iter("testcase")
    assert (case.get("name"), case.get("file"), case.get("line")) == ("a|<b>\\u0001", str(failing), "13")
    failure = case.find("failure")
    assert failure is not None
    assert "again: flowkit test" in (failure.text or "")


def test_markdown_and_json(failing: Path, tmp_path: Path) -> None:
    told, page = tmp_path / "r.json", tmp_path / "r.md"
    assert main(["test", str(failing), "--report", f"json={told}", "--report", f"markdown={page}"]) == 1
    [test] = json.loads(told.read_text("utf-8"))
    assert (test["status"], test["line"]) == ("failed", 13)
    text = page.read_text("utf-8")
    assert "1 failed" in text
    assert "a\\|\\<b\\>" in text


def test_in_github_actions_it_annotates_the_line_and_adds_to_the_summary(
    failing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["test", str(failing)]) == 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::error")]
    assert line.startswith(f"::error file={failing},line=13,col=1,title=flowkit test::a|<b>")
    assert "%0A" in line
    assert summary.read_text("utf-8").startswith("before\n## flowkit test: 1 failed")


def test_each_stored_trace_that_fails_has_a_page_whatever_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An expectation that is not met leaves no ``.new`` file."""
    project(tmp_path, "good", "bad")
    expect = "pipeline: p.yaml\nset: [stages.vad.end=777ms]\nexpect: [{turn: 1, what: agent, contains: %s}]\n"
    (tmp_path / "good.expect.yaml").write_text(expect % "Paris")
    (tmp_path / "bad.expect.yaml").write_text(expect % "Rome")
    out = tmp_path / "out"
    assert main(["test", str(tmp_path), "-j", "1", "--report", f"pages={out}"]) == 1
    assert [path.name for path in out.iterdir()] == ["bad.html"]
    page = (out / "bad.html").read_text("utf-8")
    assert "bad.jsonl, replayed" in page
    failure = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["failure"]
    assert failure["name"] == "bad"
    assert any("Rome" in finding for finding in failure["findings"])
    assert not list(tmp_path.glob("*.new"))
    assert f"{out / 'bad.html'}: {tmp_path / 'bad.jsonl'} and its replay" in capsys.readouterr().err


@pytest.mark.parametrize("report", ["junit", "html=x", "junit="])
def test_a_report_of_no_known_form_is_refused(report: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--report", report]) == 2
    assert "--report takes" in capsys.readouterr().err


def test_jobs_must_be_some(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "-j", "0"]) == 2
    assert "--jobs" in capsys.readouterr().err


def test_processes_and_a_cluster_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "-j2", "--dask", "tcp://127.0.0.1:9"]) == 2
    assert "cannot be combined with --dask" in capsys.readouterr().err


def test_json_on_stdout_is_one_object(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(failing), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"passed": 0, "failed": 1, "error": 0}
