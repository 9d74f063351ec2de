"""The commands on the page about calls run, one after another, and print what the page shows."""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from flowkit.cli import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/calls.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPOKEN = re.compile(r"^ +[\d.]+ +[\d.]+  (user|agent) .*$", re.MULTILINE)


def shown() -> list[tuple[str, str]]:
    """The commands, with what the page shows of their output."""
    found = []
    for block in _BLOCK.findall(PAGE.read_text("utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def alike(text: str) -> str:
    """The text without what differs between machines: words that a model heard, and durations of work."""
    return re.sub(r"\([\d.]+ s of work\)", "", _SPOKEN.sub(r"\1", text)).strip()


def test_the_commands_print_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    with chdir(tmp_path):
        for command, output in shown():
            said = StringIO()
            with redirect_stdout(said), redirect_stderr(said):
                main(shlex.split(command)[1:])
            if output.strip() != "...":
                assert sorted(alike(said.getvalue()).splitlines()) == sorted(alike(output).splitlines()), command
