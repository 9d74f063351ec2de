"""The project's own stored traces and pipelines pass, as with ``flowkit test traces pipelines`` in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.cli import main

ROOT = Path(__file__).parents[2]


def test_they_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    code = main(["test", "traces", "pipelines"])
    assert code == 0, capsys.readouterr().out
