"""Problems as text: two forms for a terminal, and those that editors and CI read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from flowkit import __version__
from flowkit.config.codes import pages
from flowkit.config.problems import Problem, Severity, dotted
from flowkit.printable import printable

FORMATS = ("full", "concise", "json", "github", "sarif")
_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTICE: "36"}
_WIDTH = 110
"""How many columns of a source line are shown. Of a longer line only the part around the place is shown."""
_SECRET_KEY = re.compile(
    r"(?i)((?:key|token|secret|password|passwd|auth\w*)[\"']?\s*[:=]\s*)(\"[^\"]*\"?|'[^']*'?|[^\s,}\]]+)"
)
_HARMLESS = re.compile(r"[\"']?(\$\{.*|\d+(\.\d+)?(us|ms|s|min|h|d)?|true|false)[\"']?")


def render(problems: Sequence[Problem], form: str, *, terminal: bool = False, colour: bool = False) -> str:
    """The problems in one of `FORMATS`. ``full`` shows the source line with carets on a terminal. Ends with a line
    break, unless it is empty."""
    if form == "json":
        return json.dumps([_record(problem) for problem in problems], indent=2) + "\n"
    if form == "sarif":
        return json.dumps(_sarif(problems), indent=2) + "\n"
    if form == "github":
        lines = [_github(problem) for problem in problems]
    elif form == "concise":
        lines = [problem.concise() for problem in problems]
    else:
        lines = [_pretty(problem, colour) if terminal else problem.full() for problem in problems]
    # The pretty form was made printable piece by piece, because it contains colours.
    return "".join(line + "\n" for line in (lines if form == "full" and terminal else map(printable, lines)))


# -- for a terminal ----------------------------------------------------------------------------------------------------


def _pretty(problem: Problem, colour: bool) -> str:
    """The form that Rust's compiler introduced: what, where, the line, carets under the place, help."""
    mark = problem.mark
    where = f"{dotted(problem.path)}: " if problem.path else ""
    head = f"{problem.severity}[{problem.code}]"
    edge = " " * len(str(mark.line))
    lines = [
        f"{_paint(head, _COLOURS[problem.severity], colour)}: {printable(where + problem.message)}",
        f"{edge}--> {printable(str(mark))}",
    ]
    if source := masked(mark.source.line(mark.line)):
        shown, offset = _window(source, mark.column)
        width = mark.end_column - mark.column if mark.end_line == mark.line else len(source) - mark.column + 1
        carets = "^" * max(1, min(width, len(shown) - offset))
        lines += [
            f"{edge} |",
            f"{mark.line} | {shown}",
            f"{edge} | {' ' * offset}{_paint(carets, _COLOURS[problem.severity], colour)}",
        ]
    if problem.help:
        lines.append(f"{edge} = help: {printable(problem.help)}")
    return "\n".join(lines) + "\n"


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[1;{code}m{text}\x1b[0m" if colour else text


def _window(line: str, column: int) -> tuple[str, int]:
    """A part of the line that contains `column`, and the position of the column in it (0-based). A tab becomes a space
    and a control character a question mark, so that each is as wide as one character."""
    line = "".join(char if printable(char) == char else "?" for char in line.replace("\t", " "))
    if len(line) <= _WIDTH:
        return line, column - 1
    start = max(0, min(column - 1 - _WIDTH // 3, len(line) - _WIDTH))
    left, right = ("..." if start else ""), ("..." if start + _WIDTH < len(line) else "")
    return left + line[start : start + _WIDTH] + right, column - 1 - start + len(left)


def masked(line: str) -> str:
    """A source line without its secrets: the value of a key that is named like one becomes asterisks."""
    return _SECRET_KEY.sub(lambda m: m[1] + (m[2] if _HARMLESS.fullmatch(m[2]) else "*" * len(m[2])), line)


# -- for machines ------------------------------------------------------------------------------------------------------


def _record(problem: Problem) -> dict[str, Any]:
    mark = problem.mark
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "file": mark.source.name,
        "line": mark.line,
        "column": mark.column,
        "end_line": mark.end_line,
        "end_column": mark.end_column,
        "path": dotted(problem.path),
        "message": problem.message,
        "help": problem.help,
    }


def _github(problem: Problem) -> str:
    """A workflow command, which GitHub shows as an annotation of the line."""
    mark = problem.mark
    place = {"file": mark.source.name, "line": mark.line, "col": mark.column, "title": problem.code}
    # GitHub supports columns only for annotations of a single line.
    if mark.end_line == mark.line:
        place["endColumn"] = mark.end_column
    where = f"{dotted(problem.path)}: " if problem.path else ""
    text = f"{where}{problem.message}" + (f"\nhelp: {problem.help}" if problem.help else "")
    properties = ",".join(f"{key}={_escape(str(value), ':,')}" for key, value in place.items())
    return f"::{problem.severity} {properties}::{_escape(text)}"


def _escape(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + more else c for c in text)


def _sarif(problems: Sequence[Problem]) -> dict[str, Any]:
    """SARIF 2.1.0, which code scanning services read."""
    codes = sorted({problem.code for problem in problems})
    rules = [{"id": code, "shortDescription": {"text": pages()[code].title}} for code in codes]
    driver = {"name": "flowkit", "version": __version__, "rules": rules}
    results = [_result(problem, codes) for problem in problems]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _result(problem: Problem, codes: list[str]) -> dict[str, Any]:
    mark = problem.mark
    region = {
        "startLine": mark.line,
        "startColumn": mark.column,
        "endLine": max(mark.line, mark.end_line),
        "endColumn": max(1, mark.end_column),
    }
    where = f"{dotted(problem.path)}: " if problem.path else ""
    text = f"{where}{problem.message}" + (f"; {problem.help}" if problem.help else "")
    level = "note" if problem.severity is Severity.NOTICE else problem.severity.value
    location = {"physicalLocation": {"artifactLocation": {"uri": mark.source.name}, "region": region}}
    index = codes.index(problem.code)
    return {
        "ruleId": problem.code,
        "ruleIndex": index,
        "level": level,
        "message": {"text": text},
        "locations": [location],
    }
