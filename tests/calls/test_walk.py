"""From a stereo recording to a red and then a green CI, with the command of the workflow that flowkit writes."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from flowkit.cli import main
from tests.docs.pages import AGENT, ROOT

# `flowkit new` loads numpy late, which suits a process of its own and not one that runs several commands.
pytest.importorskip("numpy.typing")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's repository, with a recorded call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    shutil.copy(ROOT / "pipelines/audio/call.wav", tmp_path)
    (tmp_path / "agent.yaml").write_text(AGENT)
    return tmp_path


def ci(project: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the workflow's test as GitHub would. Returns its exit code."""
    workflow = yaml.safe_load((project / ".github/workflows/voice.yaml").read_text())
    [line] = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "flowkit test" in step.get("run", "")]
    (project / "summary.md").unlink(missing_ok=True)
    with monkeypatch.context() as github:
        for name, value in (("CI", "true"), ("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")):
            github.setenv(name, value)
        return main(shlex.split(line)[1:])


def test_from_a_recording_to_red_and_green(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "ci"]) == 0
    told = capsys.readouterr().err.removeprefix("next: ").partition(", and")[0]
    for command in told.replace("CALL.wav", "call.wav").replace("NAME", "call").split(" && "):
        assert main([*shlex.split(command)[1:], *["-y"] * ("approve" in command)]) == 0
    assert ci(project, monkeypatch) == 0

    # A slower answer is worse: the pull request is red, and says which line of the pipeline did it.
    (project / "agent.yaml").write_text(AGENT.replace("end: 400ms", "end: 900ms"))
    capsys.readouterr()
    assert ci(project, monkeypatch) == 1
    assert "::error file=agent.yaml,line=6" in capsys.readouterr().out
    summary = (project / "summary.md").read_text()
    assert "1 call, 0 as approved" in summary
    assert re.search(r"\| ttfa \| .* \+4\d\d ms \|", summary)
    [case] = ElementTree.parse("out/junit.xml").getroot().iter("testcase")
    assert case.find("failure") is not None
    assert (project / "out/call.html").exists()

    # Back again, and it is green. A faster answer is green too, although it is another one.
    (project / "agent.yaml").write_text(AGENT)
    assert ci(project, monkeypatch) == 0
    (project / "agent.yaml").write_text(AGENT.replace("end: 400ms", "end: 300ms"))
    assert ci(project, monkeypatch) == 0
    assert "better" in (project / "summary.md").read_text()
    assert main(["test", "calls"]) == 1  # without --corpus any difference fails


PREDICTED = "provider: scripted, end: {complete: 200ms, unsure: 500ms, incomplete: 1200ms}"


def test_the_gate_of_the_ci_page_turns_red(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = (ROOT / "pipelines/scripted.yaml").read_text()
    agent = agent.replace("{kind: vad, provider: scripted}", f"{{kind: vad, {PREDICTED}}}")
    agent = agent.replace("  - {kind: gate}", "  - {kind: turn, provider: words}\n  - {kind: gate}")
    assert "unsure: 500ms" in agent
    assert "words" in agent
    (project / "agent.yaml").write_text(agent)
    page = (ROOT / "docs/ci.md").read_text()
    steps = re.findall(r"^[12]\. .*?`(flowkit [^`]*)`", page, re.MULTILINE)
    assert [main(shlex.split(step)[1:] + ["-y"] * ("approve" in step)) for step in steps] == [0, 0]
    [test] = re.findall(r"- run: (flowkit test .*)", page)
    assert main(shlex.split(test)[1:]) == 0

    (project / "agent.yaml").write_text(agent.replace("unsure: 500ms", "unsure: 900ms"))
    capsys.readouterr()
    assert main(shlex.split(test)[1:]) == 1
    assert "(by stages.vad.end.unsure: 900ms)" in capsys.readouterr().out

    [budget] = re.findall(r"`(budgets: \S+ .*?)`", page)
    (project / "agent.yaml").write_text(f"{agent}\n{budget.replace('900ms', '300ms')}\n")
    assert main(shlex.split(test)[1:]) == 1
    assert "budget" in capsys.readouterr().out


def test_a_workflow_is_not_overwritten(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "ci", "--into", "sub"]) == 0
    assert main(["new", "ci", "--into", "sub"]) == 2
    told = capsys.readouterr().err
    assert "already exists" in told
    assert "`flowkit init` writes it too" in told
