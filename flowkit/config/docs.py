"""The documentation of options: the docstring below each field in the source."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise


@cache
def field_docs(cls: type) -> Mapping[str, str]:
    """The docstring below each field of a class and of its bases, by field name, on one line."""
    texts: dict[str, str] = {}
    # From the base on, so that a class can document an inherited field in its own way.
    for base in reversed(cls.__mro__):
        texts |= _module(base.__module__).get(base.__qualname__, {})
    return texts


@cache
def _module(name: str) -> Mapping[str, dict[str, str]]:
    """The docstrings of all classes of a module, by qualified name. Reading the whole module at once is faster."""
    if name.partition(".")[0] in ("builtins", "pydantic"):
        return {}
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError, KeyError):  # defined without a source file
        return {}
    return dict(_classes(tree, ""))


def _classes(node: ast.AST, above: str) -> Iterator[tuple[str, dict[str, str]]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.ClassDef):
            yield above + inner.name, dict(_fields(inner))
            yield from _classes(inner, f"{above}{inner.name}.")
        elif isinstance(inner, ast.FunctionDef):
            yield from _classes(inner, f"{above}{inner.name}.<locals>.")


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(node.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (said := _text(text)):
            yield field.target.id, said


def _text(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""
