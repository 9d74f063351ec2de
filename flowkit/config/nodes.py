"""The file as a tree of nodes, each with its place. Validation and printing walk over it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeAlias

from flowkit.config.problems import Path
from flowkit.config.text import Mark
from flowkit.secrets import mask

Plain: TypeAlias = str | int | float | bool | None


class Standing(Enum):
    """How certain the type of a scalar is, and whether its value may be shown."""

    LITERAL = auto()
    """Written in the file: it has the type that YAML gives it."""
    LOOSE = auto()
    """From outside (environment, command line): text, unless the option needs another type."""
    HIDDEN = auto()
    """Like LOOSE, and never shown."""
    UNREAD = auto()
    """Left as written, because this command reads no secrets, or because the variable is not set."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. `text` is as written, `value` has the type of the YAML 1.2 core schema.

    Neither is in the repr, because it may be a secret.
    """

    text: str = field(repr=False)
    value: Plain = field(repr=False)
    mark: Mark
    standing: Standing = Standing.LITERAL
    origin: str = ""
    """``env NAME``, ``file PATH`` or ``--set``; empty if written where `mark` points."""
    weight: int = 1

    @property
    def files(self) -> list[str]:
        """The files that its value was read from."""
        return [name[len("file ") :] for name in self.origin.split(" and ") if name.startswith("file ")]

    def got(self) -> str:
        """The value for an error message."""
        source = f" from {self.origin}" if self.origin else ""
        if self.standing in (Standing.HIDDEN, Standing.UNREAD):
            return f"a value{source or ' that is not shown'}"
        typed = isinstance(self.value, (int, float)) and not isinstance(self.value, bool)
        shown = mask(repr(self.text) if self.standing is Standing.LOOSE else self.text if typed else _shown(self.value))
        return (shown if len(shown) <= 60 else shown[:57] + "...") + source


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's place and its value."""

    key: Mark
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys in the order of the file. A duplicate key is kept once."""

    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)
    weight: int = 1
    """The number of values in this node and below it (``parse.MAX_WEIGHT``)."""

    def get(self, key: str) -> Node | None:
        """The value under `key`, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value

    def got(self) -> str:
        return "a mapping"


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: list[Node] = field(default_factory=list)
    weight: int = 1

    def got(self) -> str:
        return "a list" if self.items else "an empty list"


Node: TypeAlias = Scalar | Mapping | Sequence


def _shown(value: Plain) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def plain(node: Node) -> Any:
    """The node as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def below(node: Node, part: str | int) -> Node | None:
    """What is under a key, or at an index of a list; None if nothing is."""
    if isinstance(node, Mapping) and isinstance(part, str):
        return node.get(part)
    if isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
        return node.items[part]
    return None


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Every scalar below the node with its path."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from scalars(item, (*path, index))
    else:
        for key, entry in node.entries.items():
            yield from scalars(entry.value, (*path, key))


def as_json(node: Node) -> str:
    """The node as JSON text, for pydantic's strict JSON mode: a string is not read as a number, nor `yes` as true."""
    return json.dumps(plain(node))


# -- the YAML 1.2 core schema ------------------------------------------------------------------------------------------

_WORDS: dict[str, Plain] = {"": None, "~": None}
_WORDS |= dict.fromkeys(("null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True)
_WORDS |= dict.fromkeys(("false", "False", "FALSE"), False)
_WORDS |= {sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
_WORDS |= {word: float("nan") for word in (".nan", ".NaN", ".NAN")}
# Limited, because the time that Python takes to convert a number grows with the square of its digits.
_INT = re.compile(r"[-+]?[0-9]{1,100}")
_OTHER_BASE = re.compile(r"0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAY_BE_TYPED = frozenset("-+.0123456789~nNtTfF")


def core_value(text: str) -> Plain:
    """What an unquoted scalar means: null, bool, int, float, else text. `no`, `on` and `012` are not what YAML 1.1 made
    of them."""
    # Most values are words, which none of the patterns below could match.
    if text and text[0] not in _MAY_BE_TYPED:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    return float(text) if len(text) <= 100 and _FLOAT.fullmatch(text) else text
