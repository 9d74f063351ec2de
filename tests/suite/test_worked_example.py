"""The worked example of docs/regression-tests.md after what the page shows, which tests/docs runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flowkit.cli import main
from tests.report_page.browser import OVERLAPS, look

ROOT = Path(__file__).parents[2]


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


def test_what_it_does_then_is_accepted(team: Path) -> None:
    hasty(team)
    assert main(["test", "traces/busy.jsonl"]) == 1
    assert main(["approve", "traces/busy.jsonl", "-y"]) == 0
    assert main(["test", "traces"]) == 0


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
