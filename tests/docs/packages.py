"""The Python of a page for authors as an installed package, so that flowkit finds the providers and stages that it shows."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest

from flowkit import plugins
from tests.docs.pages import blocks

AUTHORS = ("docs/writing-a-provider.md", "docs/writing-a-stage.md")


def python_of(page: str) -> str:
    return "\n\n".join(block.text for block in blocks("python") if block.page == page)


@contextmanager
def installed(page: str) -> Iterator[ModuleType]:
    """The module of the page, under the name that its entry point gives it."""
    [entry] = [block.text for block in blocks("toml") if block.page == page]
    [(group, declared)] = tomllib.loads(entry)["project"]["entry-points"].items()
    [(name, target)] = declared.items()
    module = target.partition(":")[0]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        Path(folder, f"{module}.py").write_text(python_of(page), "utf-8")
        info = Path(folder, f"{module}-1.0.dist-info")
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
        patched.setattr(plugins, "_installed", plugins._installed.__wrapped__)
        patched.syspath_prepend(folder)
        try:
            yield importlib.import_module(module)
        finally:
            sys.modules.pop(module, None)
