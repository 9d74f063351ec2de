"""Plain values as YAML that `load` reads back, with a comment after each line where one is given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from flowkit.config.nodes import core_value
from flowkit.config.text import UNPRINTABLE

_PLAIN = re.compile(r"[A-Za-z_./][\w./ -]*")


class Noted(NamedTuple):
    """A value with the comment that belongs to its line."""

    value: Any
    note: str = ""


def to_yaml(value: dict[str, Any]) -> str:
    """Block style, with keys in their order. Values may be `Noted`. Comments share a column where lines are short."""
    lines = list(_mapping(value, 0))
    column = min(60, max((len(line) for line, note in lines if note), default=0))
    return "".join(f"{line:{column}}  # {note}\n" if note else f"{line}\n" for line, note in lines)


def _mapping(value: dict[str, Any], indent: int) -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        yield from _under(f"{' ' * indent}{_scalar(key)}:", inner, indent)


def _under(head: str, inner: Any, indent: int) -> Iterator[tuple[str, str]]:
    inner, note = inner if isinstance(inner, Noted) else (inner, "")
    if isinstance(inner, dict) and inner:
        yield head, note
        yield from _mapping(inner, indent + 2)
    elif isinstance(inner, (list, tuple)) and any(isinstance(_bare(item), dict) for item in inner):
        yield head, note
        yield from _sequence(inner, indent + 2)
    else:
        yield f"{head} {_flow(inner)}", note


def _sequence(items: Any, indent: int) -> Iterator[tuple[str, str]]:
    for item in items:
        bare = _bare(item)
        if not isinstance(bare, dict) or not bare:
            yield f"{' ' * indent}- {_flow(bare)}", ""
            continue
        lines = list(_mapping(bare, indent + 2))
        first, note = lines[0]
        yield f"{' ' * indent}- {first.lstrip()}", note
        yield from lines[1:]


def _bare(value: Any) -> Any:
    return value.value if isinstance(value, Noted) else value


def _flow(value: Any) -> str:
    value = _bare(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Text without quotes, but only where YAML cannot read it as anything else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    bare = (
        _PLAIN.fullmatch(value)
        and value == value.strip()
        and core_value(value) == value
        and value.lower() not in _MISREAD
    )
    # A duration begins with a digit, but YAML reads it as text all the same.
    if bare or (value and re.fullmatch(r"\d+(\.\d+)?(us|ms|s|min|h|d)", value)):
        return value
    # `json.dumps` leaves some of these characters as they are, and the parser would refuse them.
    return UNPRINTABLE.sub(lambda c: f"\\U{ord(c[0]):08x}", json.dumps(value, ensure_ascii=False))


_MISREAD = frozenset({"yes", "no", "on", "off", "y", "n"})
"""Text that YAML 1.1 tools read as booleans."""
