"""The text of a configuration file, read with limits and kept, so that errors can show its lines."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

MAX_BYTES = 1024 * 1024
"""Larger files are refused. No pipeline needs them, and the time of a parser grows with them."""
SLOW_CHARACTERS = 128 * 1024
"""Up to this size the Python parser may be used. It takes up to ten seconds for the worst megabyte."""

# What YAML 1.2 calls non-printable, and three characters that YAML 1.1 parsers take for line breaks and editors do not.
# With them, the line numbers of errors would differ between tools.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_LINE = re.compile(r"\r\n|\n|\r")


class NamedText:
    """A named text. `name` is used in errors: the path as the user gave it, ``<stdin>`` or ``--set``."""

    def __init__(self, name: str, text: str, path: Path | None = None, first_line: int = 1) -> None:
        self.name = name
        self.text = text
        self.path = path
        self.first_line = first_line
        """Where the text begins in its file: above 1 for a block inside a Markdown page."""

    @cached_property
    def lines(self) -> list[str]:
        """The text, line by line, without line breaks."""
        return _LINE.split(self.text)

    def line(self, number: int) -> str:
        """Line `number` (1-based, in the file); empty if there is none."""
        index = number - self.first_line
        return self.lines[index] if 0 <= index < len(self.lines) else ""

    def __repr__(self) -> str:
        return f"NamedText({self.name!r})"


class Mark(NamedTuple):
    """A place in a source: 1-based line and column in characters, and the end of what is there (exclusive)."""

    source: NamedText
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


def start_of(source: NamedText) -> Mark:
    """The beginning of a source, for what is wrong with all of it."""
    return Mark(source, source.first_line, 1, source.first_line, 1)


def place(source: NamedText, index: int) -> Mark:
    """The mark of the character at `index` (0-based) of the text."""
    before = _LINE.split(source.text[:index])
    line, column = source.first_line + len(before) - 1, len(before[-1]) + 1
    return Mark(source, line, column, line, column + 1)
