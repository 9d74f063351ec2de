"""The commands on the page about calls run, one after another, and print what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

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


def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    """Each in a process of its own, as a reader runs them."""
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    environ = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(ROOT)}
    for command, output in shown():
        line = [sys.executable, "-m", "flowkit", *shlex.split(command)[1:]]
        said = subprocess.run(
            line, cwd=tmp_path, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if output.strip() != "...":
            assert sorted(alike(said.stdout).splitlines()) == sorted(alike(output).splitlines()), command
