"""The commands of docs/regression-tests.md have the results that the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from flowkit.cli import main
from tests.report_page.browser import OVERLAPS, look, needs_browser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "regression-tests.md").read_text("utf-8")
SHOWN = re.findall(r"```console\n\$ flowkit test traces\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the page describes it."""
    for path in ("pipelines/busy.yaml", "traces/busy.jsonl", "traces/busy.expect.yaml"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def hasty(team: Path) -> None:
    """The change that the page makes."""
    path = team / "pipelines" / "busy.yaml"
    text = path.read_text("utf-8")
    assert "end: 300ms" in text
    path.write_text(text.replace("end: 300ms", "end: 500ms"), "utf-8")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return re.sub(r" \([\d.]+ s of work\)", "", capsys.readouterr().out)


def test_what_it_shows_is_what_happens(team: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = SHOWN
    assert main(["test", "traces"]) == 0
    assert said(capsys) == before
    hasty(team)
    assert main(["test", "traces"]) == 1
    assert said(capsys) == after
    again = re.search(r"again: flowkit (.*)", after)
    assert again is not None
    assert main(again[1].split()) == 1
    capsys.readouterr()
    assert main(["approve", "traces/busy.jsonl", "-y"]) == 0
    assert main(["test", "traces"]) == 0


@needs_browser
def test_the_page_shows_it(team: Path) -> None:
    hasty(team)
    out = team / "out" / "busy.html"
    assert main(["report", "traces/busy.jsonl", "--pipeline", "pipelines/busy.yaml", "-o", str(out)]) == 0
    script = (
        OVERLAPS
        + 'found.clashes = overlapping(); found.table = document.querySelector("section[aria-label=changes]").textContent;'
    )
    found = look(out.read_text("utf-8"), team, script, size="1500,1600")
    assert found["wrong"] == [] == found["console"]
    assert found["clashes"] == []
    assert found["table"].count("+200 ms") == 4


def test_its_pipelines_pass_their_own_tests(team: Path) -> None:
    blocks = [b for b in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "tests:" in b]
    assert len(blocks) == 2
    for block in blocks:
        (team / "mine.yaml").write_text(block, "utf-8")
        assert main(["test", "mine.yaml"]) == 0
