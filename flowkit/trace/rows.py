"""The content of messages as a trace stores it, and how messages are made from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

from flowkit.engine import Fate
from flowkit.engine.journal import values_getter
from flowkit.errors import TraceError
from flowkit.messages import Audio, Exchange, Message, Timer
from flowkit.trace.columns import unpacked
from flowkit.trace.names import MAX_DEPTH

FATES = (Fate.HANDLED, Fate.DROPPED, Fate.DISCARDED, Fate.STALE)
"""The fates by the number that a trace stores for each."""


def waits(kind: type[Message]) -> bool:
    """Whether a message of this kind may be handled later than it was sent. What leaves for a provider is not."""
    return kind.lane != "P"


def has_call(kind: type[Message], *, caused: bool) -> bool:
    """Whether rows of this kind belong to a provider call: its items, and what was sent to it."""
    return kind.lane == "P" or (not caused and kind is not Timer)


class Content(NamedTuple):
    """What a trace stores of messages of one class. Tuples have one entry for each field."""

    names: tuple[str, ...]
    """The fields without PCM, in order of declaration."""
    values: Callable[[Message], tuple[Any, ...]]
    """Gets their values from a message."""
    texts: tuple[int, ...]
    """Indexes of the fields that may be long."""
    defaults: tuple[Any, ...]
    plain: tuple[frozenset[type], ...]
    """The types that a field's stored value may have, if it needs no conversion."""
    makers: tuple[Callable[[Any], Any] | None, ...]
    """The function that converts a field's stored value, or None."""


_CONTENTS: dict[type[Message], Content] = {}


def content_of(cls: type[Message]) -> Content:
    """What is stored of messages of this class."""
    if cls not in _CONTENTS:
        _CONTENTS[cls] = _content(cls)
    return _CONTENTS[cls]


def _content(cls: type[Message]) -> Content:
    kept = [f for f in fields(cls) if f.name != "pcm"]
    names, types = tuple(f.name for f in kept), [str(f.type) for f in kept]
    texts = tuple(place for place, type_ in enumerate(types) if type_ == "str" or type_.startswith("tuple"))
    plain = tuple(_TYPES.get(type_, frozenset()) for type_ in types)
    makers = tuple(None if type_ in _TYPES else _MAKERS.get(type_, _tuples) for type_ in types)
    return Content(names, values_getter(cls), texts, tuple(f.default for f in kept), plain, makers)


def _kinds(cls: type[Message] = Message) -> dict[str, type[Message]]:
    """Every message class by name: flowkit's own, and those of all imported stages and providers."""
    found: dict[str, type[Message]] = {}
    for known in cls.__subclasses__():
        # `slots=True` creates each class twice. The first one, without slots, exists until it is garbage collected.
        if "__slots__" in known.__dict__:
            found[known.__name__] = known
        found |= _kinds(known)
    return found


_KNOWN: dict[str, type[Message]] = {}


def kind_named(name: Any) -> type[Message]:
    """The message class with this name. Raises TraceError if there is none."""
    if not isinstance(name, str) or name not in _KNOWN:
        _KNOWN.update(_kinds())
        if not isinstance(name, str) or name not in _KNOWN:
            raise TraceError(
                f"unknown message kind {str(name)[:60]!r}", hint="the trace needs the stages it was made with"
            )
    return _KNOWN[name]


_RATE = [f.name for f in fields(Audio)].index("rate_hz")
_TYPES = {
    "int": frozenset({int}),
    "float": frozenset({float, int}),
    "str": frozenset({str}),
    "bool": frozenset({bool}),
}


def messages_of(cls: type[Message], columns: Sequence[Any], count: int) -> Sequence[Message]:
    """`count` messages from the stored columns of their fields.

    A field without a column has its default: that was its value when the trace was written. Raises TraceError if a
    value does not have the type of its field.
    """
    names, _, _, defaults, plain, makers = content_of(cls)
    if len(columns) > len(names) or MISSING in defaults[len(columns) :]:
        raise TraceError(f"a {cls.__name__} row has more or fewer fields than a {cls.__name__}")
    if not columns:
        return [cls()] * count
    fields_read = [
        unpacked(column, count, types) if maker is None else list(map(maker, unpacked(column, count)))
        for column, types, maker in zip(columns, plain, makers, strict=False)
    ]
    if cls is Audio and min(fields_read[_RATE]) < 1:
        raise TraceError("audio without a sample rate")
    if count > 1 and all(type(column) is dict and "all" in column for column in columns):
        return [cls(*[next(iter(values)) for values in fields_read])] * count
    return list(map(cls, *fields_read))


def _tuples(value: Any, deeper: int = MAX_DEPTH) -> Any:
    """Lists as tuples, at all levels. Raises TraceError if they are nested too deeply."""
    if type(value) is not list:
        return value
    if not deeper:
        raise TraceError(f"a value is nested more than {MAX_DEPTH} deep")
    return tuple(_tuples(part, deeper - 1) for part in value)


def _exchanges(value: Any) -> tuple[Exchange, ...]:
    """A stored LLM history. Raises TraceError if it is not a list of pairs of strings."""
    exchanges = tuple(Exchange(*pair) for pair in value)
    if not all(type(text) is str for pair in exchanges for text in pair):
        raise TraceError("a history is pairs of texts")
    return exchanges


_MAKERS: dict[str, Callable[[Any], Any]] = {"tuple[Exchange, ...]": _exchanges}


def size_of(value: Any) -> int:
    """How many characters and items a text or a tuple has, at all levels."""
    if type(value) is str:
        return len(value)
    return 1 + sum(map(size_of, value)) if isinstance(value, tuple) else 1
