"""Where a wrongly indented line belongs, according to the columns in which the lines above it begin their keys and
dashes.

It looks at the text alone, and only after the parser has given up. A hint may rely on what lines look like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowkit.config.text import NamedText

_KEY = re.compile(r"(?P<name>[^\s#\[\]{}\"'|>@`%&*!?,-][^:#]*):(?=\s|$)(?P<text>\s+[|>][-+0-9]*\s*$)?")


@dataclass(slots=True)
class Indent:
    """A column in which a block may continue. `keys`: those so far in a mapping; None for the dashes of a list."""

    column: int
    line: int
    keys: set[str] | None


def _indented(text: str) -> tuple[int, str]:
    """The column (1-based) of the first character of a line that is not a space, and the line from there on."""
    rest = text.lstrip(" ")
    return len(text) - len(rest) + 1, rest


def levels(source: NamedText, line: int) -> list[Indent]:
    """The blocks that are open before a line, outermost first."""
    open: list[Indent] = []
    inside = 0  # the column of the key whose block text continues
    for number in range(source.first_line, line):
        column, rest = _indented(source.line(number))
        if not rest or rest.startswith("#") or (inside and column > inside):
            continue
        inside = 0
        while rest == "-" or rest.startswith("- "):
            _list(open, column, number)
            width, rest = _indented(rest[1:])
            column += width
        if key := _KEY.match(rest):
            _mapping(open, column, number, key["name"].rstrip())
            inside = column if key["text"] else 0
    return open


def _list(open: list[Indent], column: int, line: int) -> None:
    while open and open[-1].column > column:
        open.pop()
    if open and open[-1].column == column and open[-1].keys is None:
        open[-1].line = line
    else:
        open.append(Indent(column, line, None))


def _mapping(open: list[Indent], column: int, line: int, key: str) -> None:
    # A list may begin in the column of the key that it belongs to. The next key of that mapping ends it.
    while open and (open[-1].column > column or (open[-1].keys is None and open[-1].column == column)):
        open.pop()
    if open and open[-1].column == column and open[-1].keys is not None:
        open[-1].line = line
        open[-1].keys.add(key)
    else:
        open.append(Indent(column, line, {key}))


def advice(source: NamedText, line: int) -> str:
    """Where a line belongs that is in no open column; empty if it is in one, or if its place is unclear."""
    column, rest = _indented(source.line(line))
    open = levels(source, line)
    key = _KEY.match(rest)
    if rest.startswith("-") and not rest.startswith("- "):
        return "write a space after the dash"
    if rest.startswith("- ") or key is None:
        if _indented(source.line(line - 1))[1].startswith("{") and all(level.keys is not None for level in open):
            return "begin each entry of the list with `- `"
        return _of_entry(open, column, dashed=rest.startswith("- "))
    return _of_key(open, column, key["name"].rstrip())


def _of_entry(open: list[Indent], column: int, *, dashed: bool) -> str:
    level = _nearest([level for level in open if level.keys is None], column)
    if level is None or (dashed and level.column == column):
        return ""
    if dashed:
        return f"indent it to column {level.column}, where the dash of line {level.line} is"
    return "begin it with `- `" + (f" in column {level.column}" if level.column != column else "")


def _of_key(open: list[Indent], column: int, key: str) -> str:
    mappings = [level for level in open if level.keys is not None]
    nearest = _nearest(mappings, column)
    if nearest is None or nearest.column == column:
        return ""
    if key in _blocks() and key not in (mappings[0].keys or ()):
        return f"indent it to column {mappings[0].column}: {key} is a separate block, beside stages"
    if any(level.keys is None and level.column == column for level in open):
        item = next((level for level in mappings if level.column > column), None)
        if item is None or key in (item.keys or ()):  # the last entry is in braces, or already has this key
            return "begin it with `- `"
    return f"indent it to column {nearest.column}, where the keys of line {nearest.line} begin"


def _nearest(levels: list[Indent], column: int) -> Indent | None:
    """The level with the nearest column; of two, the inner one."""
    return min(reversed(levels), key=lambda level: abs(level.column - column), default=None)


def _blocks() -> list[str]:
    """The keys of the top level. Imported here, because reading a text does not need the whole schema."""
    from flowkit.config.schema import APART, Top

    return [*Top.model_fields, *APART]
