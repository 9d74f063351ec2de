"""The documentation of options: the text that stands below each field in the source."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from textwrap import dedent


def field_docs(cls: type) -> dict[str, str]:
    """The text below each field of a class and of those it inherits from, by the field's name, on one line."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        texts |= dict(_own(base))
    return texts


def _own(cls: type) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(dedent(inspect.getsource(cls)))
    except (OSError, TypeError):  # built in, or made without a source file
        return
    body = tree.body[0]
    if not isinstance(body, ast.ClassDef):
        return
    for field, text in pairwise(body.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (said := _text(text)):
            yield field.target.id, said


def _text(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""
