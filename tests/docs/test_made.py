"""What is made from the code is up to date: pipeline files, commands, Python, messages, metrics, errors, the JSON Schema."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

from flowkit.figures.report import TurnReport

ROOT = Path(__file__).resolve().parents[2]


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "reference" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_made_from_the_code_is_up_to_date() -> None:
    stale = [path.name for path, text in builder().built().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run: python docs/reference/build.py"


def test_the_members_of_a_session_are_those_that_are_promised() -> None:
    stable = (ROOT / "docs" / "stability.md").read_text("utf-8")
    [row] = [line for line in stable.splitlines() if line.startswith("| `Session` |")]
    promised = set(re.findall(r"`(\w+)`", row)) - {"Session"}
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    section = page.partition("\n## flowkit.Session\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", section, re.MULTILINE)) == promised
    turn = page.partition("\n## TurnReport\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", turn, re.MULTILINE) == [known.name for known in fields(TurnReport)]
