"""What a journal keeps of messages, by kind, and messages made of it again."""

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
"""By the number that a trace has for each."""


def waits(kind: type[Message]) -> bool:
    """Whether a message of that kind may be handled later than it was sent; what leaves for a provider leaves at once."""
    return kind.lane != "P"


def has_call(kind: type[Message], *, caused: bool) -> bool:
    """Whether rows of that kind belong to a provider call: what a call gave, and what left for one."""
    return kind.lane == "P" or (not caused and kind is not Timer)


class Content(NamedTuple):
    """What a journal keeps of messages of one class: `names` of the fields, without PCM, in order of declaration; `values` takes
    them from a message; `texts`: places of those that may be long; `defaults`; `plain`: the types that simple values may have;
    `makers`: for each field what makes a value of what was stored."""

    names: tuple[str, ...]
    values: Callable[[Message], tuple[Any, ...]]
    texts: tuple[int, ...]
    defaults: tuple[Any, ...]
    plain: tuple[frozenset[type], ...]
    makers: tuple[Callable[[Any], Any] | None, ...]


_CONTENTS: dict[type[Message], Content] = {}


def content_of(cls: type[Message]) -> Content:
    """What is kept of a message class."""
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
    """Every message class there is, by name: flowkit's own, and those of whatever stages and providers are imported."""
    found: dict[str, type[Message]] = {}
    for known in cls.__subclasses__():
        # `slots=True` makes each class twice; the first, without slots, may linger until it is collected.
        if "__slots__" in known.__dict__:
            found[known.__name__] = known
        found |= _kinds(known)
    return found


_KNOWN: dict[str, type[Message]] = {}


def kind_named(name: Any) -> type[Message]:
    """The message class of that name. Raises TraceError if there is none."""
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
    """`count` messages from the stored columns of their fields. A field that has no column has its default, which is what was meant
    when the trace was written. Raises TraceError if the values are not of the fields' types."""
    names, _, _, defaults, plain, makers = content_of(cls)
    if len(columns) > len(names) or MISSING in defaults[len(columns) :]:
        raise TraceError(f"a {cls.__name__} row does not have the fields of one")
    if not columns:
        return [cls()] * count
    told = [
        unpacked(column, count, types) if maker is None else list(map(maker, unpacked(column, count)))
        for column, types, maker in zip(columns, plain, makers, strict=False)
    ]
    if cls is Audio and min(told[_RATE]) < 1:
        raise TraceError("sound without a rate")
    if count > 1 and all(type(column) is dict and "all" in column for column in columns):
        return [cls(*[next(iter(values)) for values in told])] * count
    return list(map(cls, *told))


def _tuples(value: Any, deeper: int = MAX_DEPTH) -> Any:
    if type(value) is not list:
        return value
    if not deeper:
        raise TraceError(f"a value is nested more than {MAX_DEPTH} deep")
    return tuple(_tuples(part, deeper - 1) for part in value)


def _exchanges(value: Any) -> tuple[Exchange, ...]:
    exchanges = tuple(Exchange(*pair) for pair in value)
    if not all(type(text) is str for pair in exchanges for text in pair):
        raise TraceError("a history is pairs of texts")
    return exchanges


_MAKERS: dict[str, Callable[[Any], Any]] = {"tuple[Exchange, ...]": _exchanges}


def size_of(value: Any) -> int:
    """How many characters and items there are in a text or a tuple."""
    if type(value) is str:
        return len(value)
    return 1 + sum(map(size_of, value)) if isinstance(value, tuple) else 1
