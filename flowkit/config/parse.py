"""From text to nodes. Events are read one by one and limited as they come, so that no bomb is ever built.

libyaml's composer recurses in C and crashes on 100,000 brackets. So the tree is built here, without recursion, and
depth, number and weight are counted on the way. libyaml is used where it is installed, because it is twenty times
faster. But a file means the same without it. What the two parsers read differently (`_disputed`) always goes to the
Python parser. So does what libyaml refuses, for the wording of the error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from flowkit.config.nodes import Entry, Mapping, Node, Scalar, Sequence, core_value
from flowkit.config.problems import Path, Problem
from flowkit.config.syntax import NO_CHARACTER, alias_help, document_help, explain_escape, explain_syntax, tag_help
from flowkit.config.text import SLOW_CHARACTERS, UNPRINTABLE, Mark, NamedText, place, start_of

# Merging, interpolation and printing recurse over the tree. Within this depth none of them reaches Python's limit.
MAX_DEPTH = 64
MAX_WEIGHT = 20_000
"""The most values in a file. An alias counts as all values that it stands for, long text by its length
(`TEXT_PER_WEIGHT`)."""
# Each alias to a long text is written out in full later, so a text that counted as one value could still be a bomb.
TEXT_PER_WEIGHT = 50

_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Tabs, tags, anchors, explicit keys, directives, document marks, a colon before an indicator, and unusual headers of
# block text.
_DISPUTED = re.compile(
    r"\t|(?:^|[\s,\[\]{}:-])[!&*?%]|^(?:---|\.\.\.)|:[\[{]|:\s*[,\]}]|(?:^|[\s,\[\]{}:-])[|>](?![-+]?[ ]*\n)",
    re.MULTILINE,
)
_QUOTED = re.compile(r'(?:(?<=[:,\[{-] )|(?<=[\[{]))"(?:[^"\\\n]|\\.)*"')
_QUESTION = re.compile(r"(?<=[^\s,\[\]{}:?\\])\?+|(?<=\w )\?+")
_STAND_INS = "\u00bf\u061f\u2e2e\u2047\ufe56\uff1f\u055e\u1367"
"""Other languages' question marks."""
_ESCAPED = re.compile("[\0\ud800-\udfff]")
_BRACKET = re.compile(r"[\[\]{}?]")


def _disputed(text: str) -> bool:
    """Whether the two parsers may read the text differently. Inside double quotes they agree."""
    text = _QUOTED.sub("x", text)
    if _DISPUTED.search(text):
        return True
    depth = 0
    if "?" not in text:
        return False
    for found in _BRACKET.finditer(text):  # one of them ends a word at a question mark inside brackets
        if found[0] == "?" and depth:
            return True
        # A bracket inside plain text may close nothing, so the depth never falls below zero.
        depth = max(0, depth + (found[0] in "[{") - (found[0] in "]}"))
    return False


class _Refused(Exception):
    """The rest of this text cannot be read."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def parse(source: NamedText, problems: list[Problem], loader: Any = None) -> Node | None:
    """The document as nodes; None if it cannot be read or is empty. Appends what is wrong to `problems`."""
    try:
        _refuse_unprintable(source)
        return _Builder(source, problems).build(_events(source, loader))
    except _Refused as refused:
        problems.append(refused.problem)
        return None


def _refuse_unprintable(source: NamedText) -> None:
    if bad := UNPRINTABLE.search(source.text):
        code_point = ord(bad[0])
        raise _Refused(
            Problem(
                "FK003",
                place(source, bad.start()),
                (),
                f"the character U+{code_point:04X} is not allowed here",
                help=f'write it as "\\u{code_point:04x}" in double quotes, or remove it',
            )
        )


def _events(source: NamedText, loader: Any) -> Iterator[Any]:
    """The events of the text. Errors always come from the Python parser, so that they are the same everywhere."""
    text, stand_in = _without_questions(source.text)
    slow = len(text) <= SLOW_CHARACTERS and _disputed(text)
    loader = loader or (yaml.SafeLoader if slow else _FAST)
    try:
        # One event at a time: when the builder refuses a limit, the parser stops too.
        for event in yaml.parse(text, Loader=loader):
            if stand_in:
                _with_questions(event, stand_in)
            yield event
    except yaml.MarkedYAMLError as exc:
        known = exc if loader is yaml.SafeLoader else _same_in_python(source, text, exc)
        # The message may quote the text, and the user did not write the stand-in.
        _with_questions(known, stand_in)
        raise _Refused(explain_syntax(source, known)) from exc
    # PyYAML passes an escape above U+10FFFF on to Python, whose error is not one of YAML's.
    except NO_CHARACTER as exc:
        raise _Refused(explain_escape(source)) from exc
    except yaml.YAMLError as exc:
        raise _Refused(Problem("FK003", start_of(source), (), "cannot be read as YAML", str(exc))) from exc


def _same_in_python(source: NamedText, text: str, exc: yaml.MarkedYAMLError) -> yaml.MarkedYAMLError:
    # The Python parser would take seconds for such a text. libyaml's wording is better than that wait.
    if len(text) > SLOW_CHARACTERS:
        return exc
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as python_exc:
        return python_exc
    except NO_CHARACTER as python_exc:
        raise _Refused(explain_escape(source)) from python_exc
    # libyaml refuses some texts that the Python parser accepts. Then its error is the only one.
    return exc


def _without_questions(text: str) -> tuple[str, str]:
    """The text with a stand-in for each question mark inside a word, and that character; empty if there is none.

    In YAML 1.2 such a question mark is text, even within brackets. There libyaml takes some of them for the sign of a
    key, and PyYAML takes all. Places do not change: the stand-in is one character that the text does not contain.
    """
    stand_in = next((c for c in _STAND_INS if c not in text), "") if "?" in text else ""
    return (_QUESTION.sub(lambda found: stand_in * len(found[0]), text) if stand_in else text), stand_in


def _with_questions(read: Any, stand_in: str) -> None:
    """Put the question marks back into the result, or into the parser's error."""
    for name in ("value", "tag", "anchor", "problem"):
        text = getattr(read, name, None)
        if text and stand_in:
            setattr(read, name, text.replace(stand_in, "?"))


class _Builder:
    """Builds the tree from events. `open` holds the containers that are not closed yet, outermost first."""

    def __init__(self, source: NamedText, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.anchors: dict[str, Node | None] = {}
        self.weight = 0
        self.documents = 0

    def build(self, events: Iterator[Any]) -> Node | None:
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }
        for event in events:
            if handler := handlers.get(type(event)):
                handler(event)
        return self.root

    def mark(self, event: Any) -> Mark:
        start, end, first = event.start_mark, event.end_mark, self.source.first_line
        return Mark(self.source, start.line + first, start.column + 1, end.line + first, end.column + 1)

    def path(self) -> Path:
        return tuple(part for container in self.open if (part := container.part()) is not None)

    def refuse(self, code: str, event: Any, what: str, help: str = "") -> _Refused:
        return _Refused(Problem(code, self.mark(event), self.path(), what, help=help))

    def report(self, code: str, mark: Mark, what: str, help: str = "") -> None:
        self.problems.append(Problem(code, mark, self.path(), what, help=help))

    # -- one event each ------------------------------------------------------------------------------------------------

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            help = document_help(self.source.text[event.start_mark.index :])
            raise self.refuse("FK011", event, "a second document begins here", help)

    def _scalar(self, event: Any) -> None:
        mark, text = self.mark(event), event.value
        self._refuse_tag(event, event.tag)
        if event.style == '"' and _ESCAPED.search(text):  # only an escape can have put it there
            what = "the text contains a character that no option accepts"
            self.report("FK003", mark, what, "remove the NUL or surrogate escape")
            text = _ESCAPED.sub("", text)
        weight = 1 + len(text) // TEXT_PER_WEIGHT
        self._count(event, weight)
        # In quotes a value stays text, whatever it looks like.
        value = text if event.style else core_value(text)
        self._add(Scalar(text, value, mark, weight=weight), event, event.anchor)

    def _start(self, event: Any) -> None:
        self._refuse_tag(event, event.tag)
        if len(self.open) >= MAX_DEPTH:
            raise self.refuse("FK010", event, f"nested deeper than {MAX_DEPTH} levels")
        self._count(event, 1)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if is_mapping and self.open and self.open[-1].wants_key:
            raise self.refuse(
                "FK012", event, "a key must be a plain word", "a mapping cannot be a key; for ${VAR} use quotes"
            )
        if not is_mapping and self.open and self.open[-1].wants_key:
            raise self.refuse("FK012", event, "a key must be a plain word", "a list cannot be a key")
        # An anchor without a node is still open, so that an alias inside its own value is found out.
        if event.anchor:
            self.anchors[event.anchor] = None
        # Minus one: the container itself was just counted, and belongs to its own weight.
        self.open.append(_Open(event, is_mapping, self.weight - 1))

    def _end(self, event: Any) -> None:
        done = self.open.pop()
        start, end, first = done.event.start_mark, event.end_mark, self.source.first_line
        mark = Mark(self.source, start.line + first, start.column + 1, end.line + first, end.column + 1)
        weight = self.weight - done.weight_before
        node: Node = Mapping(mark, done.entries, weight) if done.is_mapping else Sequence(mark, done.items, weight)
        self._add(node, done.event, done.event.anchor)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise self.refuse(
                "FK009",
                event,
                f"the alias *{event.anchor} has no anchor above it",
                alias_help(event.anchor, self.anchors),
            )
        node = self.anchors[event.anchor]
        if node is None:
            raise self.refuse(
                "FK009", event, f"the alias *{event.anchor} is inside its own anchor", "it would never end"
            )
        # In full, although the node is shared: all later steps walk over it once for each alias.
        self._count(event, node.weight)
        self._add(node, event, None)

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _refuse_tag(self, event: Any, tag: str | None) -> None:
        if tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            help = tag_help(shown, getattr(event, "value", ""))
            raise self.refuse("FK008", event, f"the tag {shown} is not allowed", help)

    def _count(self, event: Any, weight: int) -> None:
        self.weight += weight
        if self.weight > MAX_WEIGHT:
            raise self.refuse("FK002", event, f"the file has more than {MAX_WEIGHT} values, aliases counted in full")

    def _add(self, node: Node, event: Any, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        container = self.open[-1]
        if not container.is_mapping:
            container.items.append(node)
        elif container.wants_key:
            self._key(container, node, event)
        else:
            self._value(container, node)

    def _key(self, container: _Open, node: Node, event: Any) -> None:
        if not isinstance(node, Scalar):
            raise self.refuse(
                "FK012", event, "a key must be a plain word", "an alias to a list or mapping cannot be a key"
            )
        if node.text == "<<" and getattr(event, "style", None) is None:  # in quotes it is a word
            raise self.refuse(
                "FK009", event, "the merge key << is not allowed", "use `defaults:` or `include:`, or repeat the keys"
            )
        container.key, container.key_mark = node.text, self.mark(event)

    def _value(self, container: _Open, node: Node) -> None:
        key, mark = container.key, container.key_mark
        assert key is not None
        assert mark is not None
        if key in container.entries:
            # The first value stays and reading goes on, so that one run finds every other problem.
            first = container.entries[key].key
            self.report("FK007", mark, f"duplicate key {key!r}; first on line {first.line}", "keep one of them")
        else:
            container.entries[key] = Entry(mark, node)
        container.key = None


class _Open:
    """An unfinished container. `key` is the mapping's key whose value comes next."""

    __slots__ = ("entries", "event", "is_mapping", "items", "key", "key_mark", "weight_before")

    def __init__(self, event: Any, is_mapping: bool, weight_before: int) -> None:
        self.event = event
        self.is_mapping = is_mapping
        self.weight_before = weight_before
        self.entries: dict[str, Entry] = {}
        self.items: list[Node] = []
        self.key: str | None = None
        self.key_mark: Mark | None = None

    @property
    def wants_key(self) -> bool:
        return self.is_mapping and self.key is None

    def part(self) -> str | int | None:
        return self.key if self.is_mapping else len(self.items)
