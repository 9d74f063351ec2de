"""Spans that are taken as a whole: inline code, links, tags, braces, code blocks, and terms that the user named.

Each is searched for from its opening mark, within a bound. So a mark that opens nothing costs little, and an unclosed
one cannot hold up the reply.
"""

from __future__ import annotations

from .view import NO, WAIT, View, past

LIMIT = 400
"""The longest span, in characters; a longer one is read as plain text."""
_DEEPEST = 12
"""The deepest nesting of braces."""
FENCE_LIMIT = 16_384
"""The longest code block that is kept whole, in characters."""


def span_end(view: View, at: int) -> int:
    """The end of the span that opens at `at`; NO if none does; or WAIT."""
    char = view.text[at]
    if char == "`":
        return _code(view, at)
    if char == "<":
        return _tag(view, at)
    if char == "[":
        return _link(view, at)
    return _braces(view, at) if char == "{" else NO


def fence_end(view: View, at: int) -> int:
    """The end of the code block whose opening fence is at `at`, with its last newline; NO or WAIT.

    A fence is three or more backticks or tildes, with a newline before the next such run.
    """
    ticks = view.text[at]
    run = past(view.text, at, ticks)
    if run - at < 3:
        return WAIT if view.ends(run) else NO
    fence = view.text[at:run]
    line = view.text.find("\n", run, run + LIMIT)
    if line < 0:
        return WAIT if view.ends(run + LIMIT) else NO
    if fence in view.text[run:line]:
        return NO
    return _closed(view, at, line, fence)


def _closed(view: View, at: int, line: int, fence: str) -> int:
    limit = at + FENCE_LIMIT
    close = view.text.find(fence, line, limit)
    while close >= 0:
        # A fence closes only at the beginning of a line. Elsewhere it is part of the code.
        if not view.text[view.text.rfind("\n", at, close) + 1 : close].strip():
            return _through_line(view, past(view.text, close, fence[0]))
        close = view.text.find(fence, close + 1, limit)
    # A block that is never closed must not hold up the reply.
    if len(view.text) >= limit:
        return limit
    return len(view.text) if view.final else WAIT


def _through_line(view: View, end: int) -> int:
    rest = past(view.text, end, " \t\r")
    if view.ends(rest):
        return WAIT
    return rest + 1 if view.char(rest) == "\n" else end


def _find(view: View, mark: str, start: int, at: int) -> int:
    """The end of the first `mark` after `start` on the same line; NO or WAIT."""
    limit = at + LIMIT
    end = view.text.find(mark, start, limit)
    line = view.text.find("\n", start, limit)
    if end >= 0 and not 0 <= line < end:
        return end + len(mark)
    return WAIT if line < 0 and view.ends(limit) else NO


def _code(view: View, at: int) -> int:
    run = past(view.text, at, "`")
    if view.ends(run):
        return WAIT
    return _find(view, view.text[at:run], run, at)


def _tag(view: View, at: int) -> int:
    if view.ends(at + 1):
        return WAIT
    first = view.char(at + 1)
    return _find(view, ">", at + 1, at) if first == "/" or (first.isascii() and first.isalpha()) else NO


def _link(view: View, at: int) -> int:
    """`[label](target)`, `[label][reference]`, or a bracket without either."""
    label = _find(view, "]", at + 1, at)
    if label in (NO, WAIT):
        return label
    if view.ends(label):
        return WAIT
    opened = view.char(label)
    if opened not in ("(", "["):
        return label
    target = _find(view, ")" if opened == "(" else "]", label + 1, at)
    return target if target != NO else label


def _braces(view: View, at: int) -> int:
    """`{"json": {"or": "code"}}`, to the brace that closes the first."""
    depth = 0
    for end in range(at, min(at + LIMIT, len(view.text))):
        char = view.text[end]
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return end + 1
        if char == "\n" or depth > _DEEPEST:
            return NO
    return WAIT if view.ends(at + LIMIT) else NO


class Terms:
    """The terms that are never cut. They are found from any character inside them.

    Args:
        terms: as written; case counts. A term that begins with a letter is found only where a word begins.
    """

    def __init__(self, terms: tuple[str, ...]) -> None:
        self._places: dict[str, list[tuple[str, int]]] = {}
        for term in terms:
            for offset, char in enumerate(term):
                self._places.setdefault(char, []).append((term, offset))

    def cover(self, view: View, at: int) -> int:
        """Whether a term covers the character at `at`: 1, NO or WAIT."""
        answer = NO
        for term, offset in self._places.get(view.text[at], ()):
            start = at - offset
            if start < view.start or (start > view.start and term[0].isalnum() and view.text[start - 1].isalnum()):
                continue
            came = view.text[start : start + len(term)]
            if came == term:
                return 1
            if term.startswith(came) and view.ends(start + len(came)):
                answer = WAIT
        return answer
