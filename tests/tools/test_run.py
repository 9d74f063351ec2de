from __future__ import annotations

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
    monkeypatch: pytest.MonkeyPatch, devices: bool, origin: str, wanted: list[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(tool, "available", lambda direction: devices)
    monkeypatch.setattr(tool, "main", lambda arguments: ran.append(arguments) or 0)
    assert tool.run("a.yaml", "q.wav", "r.wav", origin) == 0
    assert ran == [wanted]
