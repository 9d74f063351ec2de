from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tools import run as tool


@pytest.mark.parametrize(
    ("devices", "origin", "wanted"),
    [
        (True, "file", ["run", "a.yaml"]),
        (True, "command line", ["run", "a.yaml", "--input", "q.wav", "--output", "r.wav", "--overwrite"]),
        (False, "file", ["run", "a.yaml", "--input", "q.wav", "--output", "r.wav", "--overwrite"]),
    ],
)
def test_devices_are_used_where_there_are_any_and_no_file_was_named(
    monkeypatch: pytest.MonkeyPatch, devices: bool, origin: str, wanted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(tool, "available", lambda direction: devices)
    monkeypatch.setattr(tool, "main", lambda arguments: ran.append(arguments) or 0)
    assert tool.run("a.yaml", "q.wav", "r.wav", origin) == 0
    assert ran == [wanted]
    assert tool.called() in capsys.readouterr().out


def test_it_says_how_flowkit_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert ".venv/bin/flowkit run pipelines/assistant.yaml --text" in tool.called()
    assert "After `. .venv/bin/activate` this shell finds it as `flowkit`." in tool.called()
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / ".venv" / "bin" / "flowkit"))
    assert tool.called() == "\nNext: flowkit run pipelines/assistant.yaml --text"
