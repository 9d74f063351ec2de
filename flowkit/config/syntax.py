"""What a YAML syntax error means, for people who do not write parsers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from flowkit.config.layout import advice, levels
from flowkit.config.problems import Problem, suggest
from flowkit.config.slips import QUOTES_HELP, QUOTES_WHAT, glued_help, glued_key, odd_space, space_words, typographic
from flowkit.config.text import SLOW_CHARACTERS, Mark, NamedText, place, start_of


def explain_syntax(source: NamedText, exc: yaml.MarkedYAMLError) -> Problem:
    """The parser's error as a problem, with help if the cause is a usual one."""
    at = exc.problem_mark or exc.context_mark
    if at is None:
        return Problem("FK004", start_of(source), (), "cannot be read as YAML", str(exc.problem))
    line, column = at.line + source.first_line, at.column + 1
    mark = Mark(source, line, column, line, column + 1)
    text = source.line(line)
    for recognise in _RECOGNISED:
        if problem := recognise(source, exc, mark, text):
            return problem
    context = f" {exc.context}" if exc.context else ""
    help = "check the indentation, and the quotes and brackets just before this place"
    return Problem("FK004", mark, (), f"cannot be read as YAML{context}: {exc.problem}", help=help)


def explain_escape(source: NamedText) -> Problem:
    """An escape with a number above all characters. The Python parser raises an error of Python for it
    (`NO_CHARACTER`)."""
    found = _TOO_HIGH.search(source.text)
    return _escape(place(source, found.start()) if found else start_of(source))


NO_CHARACTER = (ValueError, OverflowError)
_TOO_HIGH = re.compile(r"\\U(?!000|0010)[0-9a-fA-F]{8}")


def _escape(mark: Mark) -> Problem:
    help = "write \\\\ for a backslash, or use single quotes"
    return Problem("FK004", mark, (), "an unknown escape in double quotes", help=help)


def _variable_in_braces(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """``{api_key: ${KEY}}``: inside braces and brackets a brace begins a mapping, so the variable needs quotes."""
    brace = mark.column - 1
    if not (text[brace : brace + 1] == "{" and text[brace - 1 : brace] == "$"):
        return None
    end = text.find("}", brace) + 1 or len(text)
    name = text[brace - 1 : end]
    at = mark._replace(column=mark.column - 1, end_column=end + 1)
    return Problem("FK006", at, (), f"{name} inside braces or brackets needs quotes", help=f'write "{name}"')


def _tab(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    before = text[: mark.column]
    if text[mark.column - 1 : mark.column] == "\t" and before.strip():
        return Problem("FK005", mark, (), "a tab is not allowed here", help="use a space")
    if "\t" not in before or before.strip():
        return None
    column = before.index("\t") + 1
    at = mark._replace(column=column, end_column=column + 1)
    return Problem("FK005", at, (), "a tab cannot be used to indent", help="indent with spaces")


def _odd_space(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """A line that is not indented with spaces belongs to the text above it, so the parser may refuse the next line
    instead."""
    at = odd_space(mark) or odd_space(_at(source, mark.line - 1, 1))
    if at is None:
        return None
    # Several such lines in a row are one mistake, which begins at the first of them.
    while above := odd_space(_at(source, at.line - 1, 1)):
        at = above
    what, help = space_words(at)
    return Problem("FK004", at, (), what, help=help)


def _typographic(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    at = typographic(mark)
    return Problem("FK004", at, (), QUOTES_WHAT, help=QUOTES_HELP) if at else None


def _runaway_quote(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """A quote that was meant to open a value has closed one that began lines above. What follows it is not wrong."""
    in_quotes = "quoted scalar" in (exc.context or "") and exc.context_mark is not None
    at = exc.context_mark if in_quotes else exc.problem_mark or exc.context_mark
    assert at is not None
    before = source.line(at.line + source.first_line)[: at.column]
    # Looking for the quote needs the slow parser, so a large text is left to the general help.
    if len(source.text) > SLOW_CHARACTERS or not re.search(r"[:,\[{-]\s*[\"']", before):
        return None
    token = _last_quoted(source.text, at)
    if token is None or token.start_mark.line == token.end_mark.line:
        return None
    opened, line = token.start_mark, token.end_mark.line + source.first_line
    if token.end_mark.line != at.line or before[: token.end_mark.column - 1].rstrip()[-1:] not in tuple(":,[{-"):
        return None
    begun = _at(source, opened.line + source.first_line, opened.column + 1)
    return Problem("FK004", begun, (), f"this quote is closed only on line {line}", help="close it where its text ends")


def _last_quoted(text: str, before: Any) -> yaml.ScalarToken | None:
    """The last scalar that ends at a place or before it, if it is quoted."""
    last = None
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if token.end_mark.index > before.index:
                break
            if isinstance(token, yaml.ScalarToken):
                last = token
    except (yaml.MarkedYAMLError, *NO_CHARACTER):
        pass  # already reported; here it only ends the search
    return last if last and last.style in ("'", '"') else None


def _unclosed(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """An unclosed bracket or brace is reported where it opens. The parser notices it much later."""
    if exc.context_mark is None or not (exc.context or "").startswith("while parsing a flow"):
        return None
    opened = exc.context_mark
    line, column = opened.line + source.first_line, opened.column + 1
    bracket = source.line(line)[column - 1 : column]
    if bracket == "?":
        return _no_beginning(_at(source, line, column), bracket)
    if line == mark.line and text[mark.column - 1 :].strip():
        what = f"a comma or the closing bracket of the {bracket!r} at column {column} is missing here"
        return Problem("FK004", mark, (), what, help="text that contains , : [ ] { } needs quotes there")
    at = Mark(source, line, column, line, column + 1)
    help = f"close it with {_CLOSING.get(bracket)!r}; reading stopped on line {mark.line}"
    return Problem("FK004", at, (), f"this {bracket!r} is not closed", help=help)


_CLOSING = {"[": "]", "{": "}"}


def _quote(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    if "quoted scalar" not in (exc.context or ""):
        return None
    if "escape" in (exc.problem or ""):
        return _escape(_at(source, mark.line, text.rfind("\\", 0, mark.column - 1) + 1))
    opened = exc.context_mark or exc.problem_mark
    assert opened is not None
    line, column = opened.line + source.first_line, opened.column + 1
    at = Mark(source, line, column, line, column + 1)
    return Problem("FK004", at, (), "this quote is not closed", help="close it on the same line")


def _no_colon(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """A line that should be a key or an entry of a list. The parser misses the colon only on the next line."""
    if "expected ':'" not in (exc.problem or "") or exc.context_mark is None:
        return None
    line, column = exc.context_mark.line + source.first_line, exc.context_mark.column + 1
    at = Mark(source, line, column, line, len(source.line(line).rstrip()) + 1)
    if source.line(line).lstrip()[:1] in ("{", "[") and any(level.keys is None for level in levels(source, line)):
        return Problem("FK004", at, (), "a list entry without its dash", help=advice(source, line))
    return Problem("FK004", at, (), "a key without a colon", help="write key: value, with a space after the colon")


def _indentation(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """A block that should have ended: the line is in no column of a line above, or follows a closed value."""
    if not (exc.problem or "").startswith("expected <block end>") or exc.context_mark is None:
        return None
    if text[: mark.column - 1].strip(" -"):
        rest, before = text[mark.column - 1 :], text[: mark.column - 1].rstrip()
        help = 'put the whole value in quotes, and write \\" for a quote inside it'
        if rest[:1] in ("}", "]"):
            help = f"take this {rest[0]!r} out: it closes nothing"
        elif before.endswith("'"):
            help = "use double quotes around text that contains an apostrophe, or write the apostrophe twice: ''"
        return Problem("FK004", mark, (), "nothing more may follow the value on this line", help=help)
    column, line = exc.context_mark.column + 1, exc.context_mark.line + source.first_line
    help = (
        advice(source, mark.line)
        or f"keys and dashes of one level begin in the same column: line {line} begins in column {column}"
    )
    return Problem("FK004", mark, (), "this line is indented differently from those it belongs to", help=help)


def _colon(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    if "mapping values are not allowed" not in (exc.problem or ""):
        return None
    help = 'text that contains ": " needs quotes; a key must line up with its neighbours'
    if _first_colon(text) == mark.column and (where := advice(source, mark.line)):  # it continues the value above
        help += f": {where}"
    return Problem("FK004", mark, (), "a colon is not allowed here", help=help)


def _glued(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    """``kind:llm`` is a word, which the next line seems to continue."""
    found = glued_key(source.line(mark.line - 1))
    if (
        found is None
        or "mapping values are not allowed" not in (exc.problem or "")
        or _first_colon(text) != mark.column
    ):
        return None
    at = Mark(source, mark.line - 1, found.start("key") + 1, mark.line - 1, found.end() + 1)
    return Problem("FK004", at, (), "a key without a space after its colon", help=glued_help(found))


def _first_colon(text: str) -> int:
    """The column of the first colon that ends a key; 0 if there is none."""
    found = re.search(r":(?=\s|$)", text)
    return found.end() if found else 0


def _at_sign(source: NamedText, exc: yaml.MarkedYAMLError, mark: Mark, text: str) -> Problem | None:
    character = text[mark.column - 1 : mark.column]
    if "cannot start any token" not in (exc.problem or "") or not character:
        return None
    return _no_beginning(mark, character)


def _no_beginning(mark: Mark, character: str) -> Problem:
    return Problem("FK004", mark, (), f"text cannot begin with {character!r}", help="put quotes around it")


# The first that fits is reported. So those that see a cause come before those that only name its symptom.
_RECOGNISED = (
    _variable_in_braces,
    _tab,
    _odd_space,
    _typographic,
    _runaway_quote,
    _unclosed,
    _quote,
    _no_colon,
    _glued,
    _colon,
    _at_sign,
    _indentation,
)


def _at(source: NamedText, line: int, column: int) -> Mark:
    return Mark(source, line, column, line, column + 1)


# -- what is YAML, and not allowed here ------------------------------------------------------------------------------------

_ELSEWHERE = re.compile(r"!(?:secrets?|env|env_?var|vault)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][\w./-]*")


def tag_help(tag: str, text: str) -> str:
    """What to write instead of a tag before `text`. Tags that fetch secrets in other programs have their own form
    here."""
    if not _ELSEWHERE.fullmatch(tag):
        return "values have the types that they look like: remove the tag"
    if text.startswith("${"):
        return f'remove the tag: "{text}" is enough'
    name = re.sub(r"\W", "_", text).upper() if _NAME.fullmatch(text) else "NAME"
    return f'values from outside are variables: write "${{{name}}}"'


def alias_help(name: str, anchors: Iterable[str]) -> str:
    """What an alias without an anchor may have been meant as."""
    known = list(anchors)
    return suggest(name, known, "anchors") if known else f"write &{name} at the value that it stands for"


def document_help(rest: str) -> str:
    """What to do about a second document, depending on how it begins."""
    if re.search(r"^flowkit\s*:", rest, re.MULTILINE):
        return "a file holds one document: put each pipeline into a separate file"
    return "a pipeline file holds one document: remove the `---`"
