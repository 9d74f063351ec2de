"""Typing mistakes that explain an error better than the rule that found it. They are visible in the text at its place.

A typographic quote, a character that looks like a space, a missing space: YAML reads each of them as text. What is
reported is then only a consequence.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from flowkit.config.problems import Problem
from flowkit.config.text import Mark

_QUOTES = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb\u2039\u203a"
# Where a value can begin. Inside it, a quote before a letter is an apostrophe, or opens another quotation.
_QUOTED = re.compile(rf"(?:[:,\[{{]|(?:^|\s)-)\s*(?P<text>[{_QUOTES}](?:[^{_QUOTES}]|[{_QUOTES}]\w)*[{_QUOTES}]?)")
_SPACES = "\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000"
_SPACE = re.compile(rf"[{_SPACES}]")
_MISLED = re.compile(rf"(?:^|[:,\[{{-])[ ]*(?P<space>[{_SPACES}])")
_GLUED = re.compile(r"\s*(?:- +)*(?P<key>[A-Za-z_][\w-]*):(?P<value>[^\s:/].*)")

_LONGEST = 2000
"""How many characters of a line are examined. Longer lines are not written by hand, and may contain thousands of
errors."""


def explained(problem: Problem) -> Problem:
    """The problem, or the typing mistake that causes it. Only FK1.. (what a key or value should be) can have such a
    cause."""
    line = problem.mark.source.line(problem.mark.line)
    if not problem.code.startswith("FK1") or len(line) > _LONGEST:
        return problem
    for look in (_quotes, _space, _colon, _comment, _comma):
        if found := look(problem, _written(problem.mark)):
            return found
    return problem


def typographic(mark: Mark) -> Mark | None:
    """Where the typographic quotes around a place begin; None if there are none."""
    for found in _QUOTED.finditer(mark.source.line(mark.line)):
        if found.start("text") < mark.column <= found.end("text") + 1:
            column = found.start("text") + 1
            return mark._replace(column=column, end_line=mark.line, end_column=found.end("text") + 1)
    return None


QUOTES_WHAT, QUOTES_HELP = "YAML reads typographic quotes as text", 'write straight quotes: "..."'


def odd_space(mark: Mark) -> Mark | None:
    """The character at a place, or the first of its line, that looks like a space but is not one."""
    line = mark.source.line(mark.line)
    if _SPACE.match(line, mark.column - 1):
        return mark
    found = _MISLED.search(line)
    return _character(mark, found.start("space")) if found else None


def glued_key(text: str) -> re.Match[str] | None:
    """A text that is a key directly followed by its value: groups `key` and `value`."""
    return _GLUED.fullmatch(text)


def glued_help(found: re.Match[str]) -> str:
    """How to fix it."""
    return f"write a space after the colon: {found['key']}: {found['value']}"


def space_words(mark: Mark) -> tuple[str, str]:
    """What is wrong with the odd space at a place, and how to fix it."""
    character = mark.source.line(mark.line)[mark.column - 1]
    name = unicodedata.name(character, "unnamed").lower()
    return f"U+{ord(character):04X} ({name}) is not a space in YAML", "write plain spaces"


def _character(mark: Mark, index: int) -> Mark:
    return mark._replace(column=index + 1, end_line=mark.line, end_column=index + 2)


def _written(mark: Mark) -> str:
    """The text that a mark spans, on its first line."""
    end = mark.end_column - 1 if mark.end_line == mark.line else None
    return mark.source.line(mark.line)[mark.column - 1 : end]


# -- one slip each: the problem in its words, or None if it is not to blame ------------------------------------------------


def _quotes(problem: Problem, written: str) -> Problem | None:
    mark = typographic(problem.mark)
    if mark is None:
        return None
    return replace(problem, mark=mark, path=problem.path[:-1], what=QUOTES_WHAT, got="", help=QUOTES_HELP)


def _space(problem: Problem, written: str) -> Problem | None:
    found = _SPACE.search(written) if _is_plain(written) else None
    if found is None:
        return None
    mark = _character(problem.mark, problem.mark.column - 1 + found.start())
    what, help = space_words(mark)
    path = problem.path[:-1] if problem.code == "FK101" else problem.path  # it is not a key
    return replace(problem, mark=mark, path=path, what=what, got="", help=help)


def _colon(problem: Problem, written: str) -> Problem | None:
    """``{provider:piper}`` is only a key, and ``- kind:tts`` a word."""
    glued = glued_key(written)
    if glued is None or not (problem.code == "FK101" or "a mapping" in problem.what):
        return None
    return replace(problem, help=glued_help(glued))


def _comment(problem: Problem, written: str) -> Problem | None:
    if not (_is_plain(written) and re.search(r"\S#", written)):
        return None
    return replace(problem, help="if the # begins a comment, write a space before it")


def _comma(problem: Problem, written: str) -> Problem | None:
    """``{text: Well, hello you}`` has a key `hello you`."""
    before = problem.mark.source.line(problem.mark.line)[: problem.mark.column - 1].rstrip()
    if problem.code != "FK101" or not before.endswith(",") or " " not in written.strip() or not _is_plain(written):
        return None
    return replace(problem, help="text that contains a comma needs quotes, if this is part of the text before it")


def _is_plain(written: str) -> bool:
    return written[:1] not in tuple("\"'{[|>&*")
