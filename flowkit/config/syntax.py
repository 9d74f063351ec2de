"""What a YAML syntax error means, in words for people who do not write parsers."""

from __future__ import annotations

import yaml

from flowkit.config.problems import Problem
from flowkit.config.text import Mark, Source, start_of


def explain_syntax(source: Source, exc: yaml.MarkedYAMLError) -> Problem:
    """The parser's complaint as a problem, with what to do where the usual causes are recognised."""
    at = exc.problem_mark or exc.context_mark
    if at is None:
        return Problem("FK004", start_of(source), (), "cannot be read as YAML", str(exc.problem))
    line, column = at.line + source.first_line, at.column + 1
    mark = Mark(source, line, column, line, column + 1)
    text = source.line(line)
    for recognise in (_variable_in_braces, _tab, _unclosed, _quote, _no_colon, _colon, _at_sign, _indentation):
        if problem := recognise(source, exc, mark, text):
            return problem
    context = f" {exc.context}" if exc.context else ""
    help = "check the indentation, and the quotes and brackets just before this place"
    return Problem("FK004", mark, (), f"cannot be read as YAML{context}: {exc.problem}", help=help)


def _variable_in_braces(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """``{api_key: ${KEY}}``: inside braces and brackets a brace begins a mapping, so the variable needs quotes."""
    brace = mark.column - 1
    if not (text[brace : brace + 1] == "{" and text[brace - 1 : brace] == "$"):
        return None
    end = text.find("}", brace) + 1 or len(text)
    name = text[brace - 1 : end]
    at = mark._replace(column=mark.column - 1, end_column=end + 1)
    return Problem("FK006", at, (), f"{name} inside braces or brackets needs quotes", help=f'write "{name}"')


def _tab(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    before = text[: mark.column]
    if text[mark.column - 1 : mark.column] == "\t" and before.strip():
        return Problem("FK005", mark, (), "a tab cannot stand here", help="use a space")
    if "\t" not in before or before.strip():
        return None
    column = before.index("\t") + 1
    at = mark._replace(column=column, end_column=column + 1)
    return Problem("FK005", at, (), "a tab cannot indent", help="indent with spaces")


def _unclosed(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """A bracket or brace that is never closed is shown where it opens: the parser sees it only much later."""
    if exc.context_mark is None or not (exc.context or "").startswith("while parsing a flow"):
        return None
    opened = exc.context_mark
    line, column = opened.line + source.first_line, opened.column + 1
    bracket = source.line(line)[column - 1 : column]
    if line == mark.line and text[mark.column - 1 :].strip():
        what = f"a comma or the closing bracket of the {bracket!r} at column {column} is missing here"
        return Problem("FK004", mark, (), what, help="text that holds , : ? [ ] { } needs quotes there")
    at = Mark(source, line, column, line, column + 1)
    return Problem("FK004", at, (), f"this {bracket!r} is not closed", help=f"the reading stopped on line {mark.line}")


def _quote(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    if "quoted scalar" not in (exc.context or ""):
        return None
    if "escape" in (exc.problem or ""):
        return Problem(
            "FK004",
            mark,
            (),
            "an unknown escape in double quotes",
            help="write \\\\ for a backslash, or use single quotes",
        )
    opened = exc.context_mark or exc.problem_mark
    assert opened is not None
    line, column = opened.line + source.first_line, opened.column + 1
    at = Mark(source, line, column, line, column + 1)
    return Problem("FK004", at, (), "this quote is not closed", help="close it on the same line")


def _no_colon(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """A line that should be a key; the parser misses its colon only on the next line."""
    if "expected ':'" not in (exc.problem or "") or exc.context_mark is None:
        return None
    line, column = exc.context_mark.line + source.first_line, exc.context_mark.column + 1
    at = Mark(source, line, column, line, len(source.line(line).rstrip()) + 1)
    return Problem("FK004", at, (), "a key without a colon", help="write key: value, with a space behind the colon")


def _indentation(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """A block that should have ended: what comes stands in no column that a line above began in, or behind a closed value."""
    if not (exc.problem or "").startswith("expected <block end>") or exc.context_mark is None:
        return None
    if text[: mark.column - 1].strip(" -"):
        rest, before = text[mark.column - 1 :], text[: mark.column - 1].rstrip()
        help = "put the whole value in quotes"
        if rest[:1] in ("}", "]"):
            help = f"take this {rest[0]!r} out: nothing is open that it could close"
        elif before.endswith("'"):
            help = "use double quotes around text that holds an apostrophe, or write the apostrophe twice: ''"
        return Problem("FK004", mark, (), "nothing more may follow the value on this line", help=help)
    column, line = exc.context_mark.column + 1, exc.context_mark.line + source.first_line
    help = f"keys and dashes of one level begin in one column; that of line {line} is {column}"
    return Problem("FK004", mark, (), "this line is indented differently from those it belongs to", help=help)


def _colon(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    if "mapping values are not allowed" not in (exc.problem or ""):
        return None
    what = "a colon is not allowed here"
    return Problem(
        "FK004", mark, (), what, help='text that holds ": " needs quotes; a key must stand in line with its neighbours'
    )


def _at_sign(source: Source, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    character = text[mark.column - 1 : mark.column]
    if "cannot start any token" not in (exc.problem or "") or not character:
        return None
    return Problem("FK004", mark, (), f"text cannot begin with {character!r}", help="put quotes around it")
