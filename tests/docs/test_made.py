"""What is made from the code is up to date: pipeline files, commands, Python, messages, metrics, errors, the JSON Schema."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

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
