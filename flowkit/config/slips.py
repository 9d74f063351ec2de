"""Slips of writing that explain an error better than the rule that found it: they are seen in the text at its place.

A typographic quote, a space that is none, a space that is missing: YAML takes each of them for text, and what is reported is
what that text then does wrong.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from flowkit.config.problems import Problem
from flowkit.config.text import Mark

_QUOTES = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb\u2039\u203a"
# Where a value can begin; inside of it a quote before a letter is an apostrophe, or opens another.
_QUOTED = re.compile(rf"(?:[:,\[{{]|(?:^|\s)-)\s*(?P<text>[{_QUOTES}](?:[^{_QUOTES}]|[{_QUOTES}]\w)*[{_QUOTES}]?)")
_SPACES = "\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000"
_SPACE = re.compile(rf"[{_SPACES}]")
_MISLED = re.compile(rf"(?:^|[:,\[{{-])[ ]*(?P<space>[{_SPACES}])")
_GLUED = re.compile(r"\s*(?:- +)*(?P<key>[A-Za-z_][\w-]*):(?P<value>[^\s:/].*)")

_LONGEST = 2000
"""Characters of a line that is looked at: longer ones are not written by hand, and may hold thousands of errors."""


def explained(problem: Problem) -> Problem:
    """The problem, or the slip of writing that it comes from. Only what a key or value should be is misread so (FK1..)."""
    line = problem.mark.source.line(problem.mark.line)
    if not problem.code.startswith("FK1") or len(line) > _LONGEST:
        return problem
    for look in (_quotes, _space, _colon, _comment, _comma):
        if found := look(problem, _written(problem.mark)):
            return found
    return problem


def typographic(mark: Mark) -> Mark | None:
    """Where the typographic quotes begin that a place lies in; None if it lies in none."""
    for found in _QUOTED.finditer(mark.source.line(mark.line)):
        if found.start("text") < mark.column <= found.end("text") + 1:
            column = found.start("text") + 1
            return mark._replace(column=column, end_line=mark.line, end_column=found.end("text") + 1)
    return None


QUOTES_WHAT, QUOTES_HELP = "typographic quotes are text, and hold nothing together", 'write straight quotes: "..."'


def odd_space(mark: Mark) -> Mark | None:
    """The character at a place, or the first of its line, that looks like a space where one is wanted, and is none."""
    line = mark.source.line(mark.line)
    if _SPACE.match(line, mark.column - 1):
        return mark
    found = _MISLED.search(line)
    return _character(mark, found.start("space")) if found else None


def glued_key(text: str) -> re.Match[str] | None:
    """A key whose value follows its colon at once, as the whole of a text: groups `key` and `value`."""
    return _GLUED.fullmatch(text)


def glued_help(found: re.Match[str]) -> str:
    """What mends it."""
    return f"write a space behind the colon: {found['key']}: {found['value']}"


def space_words(mark: Mark) -> tuple[str, str]:
    """What is wrong with the odd space at a place, and what mends it."""
    character = mark.source.line(mark.line)[mark.column - 1]
    name = unicodedata.name(character, "unnamed").lower()
    return f"U+{ord(character):04X} ({name}) is no space to YAML", "write plain spaces"


def _character(mark: Mark, index: int) -> Mark:
    return mark._replace(column=index + 1, end_line=mark.line, end_column=index + 2)


def _written(mark: Mark) -> str:
    """The text that a mark spans, of its first line."""
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
    path = problem.path[:-1] if problem.code == "FK101" else problem.path  # the key is none
    return replace(problem, mark=mark, path=path, what=what, got="", help=help)


def _colon(problem: Problem, written: str) -> Problem | None:
    """``{provider:piper}`` is a key alone, and ``- kind:tts`` a word."""
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
    return replace(problem, help="text that holds a comma needs quotes, if this is part of the text before it")


def _is_plain(written: str) -> bool:
    return written[:1] not in tuple("\"'{[|>&*")
