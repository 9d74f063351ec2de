"""The public names: these and no others, typed, and each with its page or example."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import flowkit

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = {
    "flowkit": [
        "Chunk",
        "Chunker",
        "Config",
        "Host",
        "HostThread",
        "Plan",
        "Provider",
        "Rules",
        "Session",
        "SessionOutcome",
        "SessionThread",
        "Stage",
        "__version__",
        "load",
        "messages",
        "open_host",
        "open_host_in_thread",
        "replay",
        "with_ends",
    ],
    "flowkit.replay": ["Exactly", "Replayed", "exactly", "run"],
}
"""A name that is added or removed here is a change of the public interface: it belongs in CHANGELOG.md too."""


def test_the_public_names_are_these() -> None:
    assert sorted(flowkit.__all__) == sorted(PUBLIC["flowkit"])
    assert sorted(flowkit.replay.__all__) == sorted(PUBLIC["flowkit.replay"])
    assert dir(flowkit) == sorted(flowkit.__all__)


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PUBLIC.items() for name in names])
def test_each_is_there_and_documented(module: str, name: str) -> None:
    found = (
        getattr(sys.modules.get(module) or __import__(module), name)
        if module == "flowkit"
        else getattr(flowkit.replay, name)
    )
    page = (ROOT / "docs" / "stability.md").read_text("utf-8")
    assert f"`{module}.{name}`" in page or f"`{name}`" in page
    if name != "__version__":
        assert inspect.getdoc(found)


def test_every_function_and_method_is_typed() -> None:
    for name in flowkit.__all__:
        found = getattr(flowkit, name)
        functions = [found] if inspect.isfunction(found) else []
        if inspect.isclass(found):
            functions = [f for n, f in vars(found).items() if inspect.isfunction(f) and not n.startswith("_")]
        for function in functions:
            hints = inspect.signature(function)
            assert hints.return_annotation is not inspect.Signature.empty, f"{name}.{function.__name__}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    for module in (flowkit, flowkit.replay):
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            module.nonsense  # noqa: B018


def test_importing_flowkit_imports_nothing_heavy() -> None:
    code = "import flowkit, sys; print([name for name in ('trio', 'pydantic', 'numpy', 'yaml') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_type_checker_sees_them() -> None:
    """`make types` checks a program that uses them."""
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["files"]
    assert "tests/typing" in checked
    program = (ROOT / "tests" / "typing" / "program.py").read_text("utf-8")
    assert {name for name in flowkit.__all__ if f"flowkit.{name}" in program} >= {
        "load",
        "open_host",
        "Session",
        "replay",
    }
