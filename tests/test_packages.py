"""A package imports only from the packages below it, in the order of docs/architecture.md. This holds for types too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = (ROOT / "docs/architecture.md").read_text("utf-8")
PACKAGES = re.findall(r"^\| `(\w+)/` \|", TABLE.partition("## Packages")[2].partition("\n## ")[0], re.MULTILINE)


def imports(path: Path) -> Iterator[str]:
    """Modules of flowkit that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "flowkit")
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def package_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "flowkit" and len(parts) > 1 else ""


def test_every_package_is_in_the_table() -> None:
    assert sorted(PACKAGES) == sorted(path.parent.name for path in (ROOT / "flowkit").glob("*/__init__.py"))


def test_no_import_runs_up() -> None:
    up = [
        f"{path.relative_to(ROOT)} imports {module}"
        for above, package in enumerate(PACKAGES)
        for path in (ROOT / "flowkit" / package).rglob("*.py")
        for module in imports(path)
        if package_of(module) in PACKAGES[:above]
    ]
    assert up == []


def test_modules_outside_packages_import_at_most_the_two_lowest() -> None:
    below = [path for path in (ROOT / "flowkit").glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    assert [
        (path.name, module) for path in below for module in imports(path) if package_of(module) in PACKAGES[:-2]
    ] == []


def test_no_class_name_stands_for_two_things() -> None:
    """Private classes belong to their module; ``Options`` is the name that a provider's and a stage's options have to have."""
    where: dict[str, list[str]] = {}
    for path in (ROOT / "flowkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name != "Options" and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: places for name, places in where.items() if len(places) > 1} == {}
