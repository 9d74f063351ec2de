"""The content of messages as a trace stores it, and how messages are made from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, NamedTuple, get_type_hints

from flowkit import messages
from flowkit.engine import Fate
from flowkit.engine.journal import values_getter
from flowkit.errors import TraceError
from flowkit.messages import Message, Timer
from flowkit.trace.columns import Check, between, check_of, unpacked
from flowkit.trace.names import MOST

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


_CONTENTS: dict[type[Message], Content] = {}


def content_of(cls: type[Message]) -> Content:
    """What is stored of messages of this class."""
    if cls not in _CONTENTS:
        _CONTENTS[cls] = _content(cls)
    return _CONTENTS[cls]


def _content(cls: type[Message]) -> Content:
    # Sound is kept in files of its own, or not at all.
    kept = [f for f in fields(cls) if f.name != "pcm"]
    texts = tuple(place for place, f in enumerate(kept) if str(f.type) == "str" or str(f.type).startswith("tuple"))
    return Content(tuple(f.name for f in kept), values_getter(cls), texts, tuple(f.default for f in kept))


_CHECKS: dict[type[Message], tuple[Check, ...]] = {}


def _checks_of(cls: type[Message]) -> tuple[Check, ...]:
    """For each stored field the check of its values, for who reads them.

    Never asked by the thread that writes a trace: to resolve types goes through the class, and the session's thread may add to
    that meanwhile, as its first copy of a message does.
    """
    if cls not in _CHECKS:
        # The narrow ranges hold for flowkit's own messages. In a user's message, a field named `count` may be negative.
        hints, own = _hints(cls), cls.__module__.startswith(messages.__name__)
        _CHECKS[cls] = tuple(
            _INTS.get(name, _INT) if own and hints[name] is int else check_of(hints.get(name))
            for name in content_of(cls).names
        )
    return _CHECKS[cls]


def _hints(cls: type[Message]) -> dict[str, Any]:
    """The types of its fields. Empty if a field of a user's own message names a type that exists only for type checkers."""
    try:
        return get_type_hints(cls)
    except NameError:
        return {}


_INT = between(-MOST, MOST)
_INTS = {name: between(0, MOST) for name in ("count", "samples", "first_sample", "total", "frame", "index")} | {
    "rate_hz": between(1_000, 1_000_000)
}
"""The ranges of integers in flowkit's own messages, by name of the field."""


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


def kind_named(name: str) -> type[Message]:
    """The message class with this name. Raises TraceError if there is none."""
    if name not in _KNOWN:
        # Collected again, because a stage may have been imported since the last time.
        _KNOWN.update(_kinds())
        if name not in _KNOWN:
            raise TraceError(f"unknown message kind {name[:60]!r}", hint="the trace needs the stages it was made with")
    return _KNOWN[name]


def messages_of(cls: type[Message], columns: Sequence[Any], count: int) -> Sequence[Message]:
    """`count` messages from the stored columns of their fields.

    A field without a column has its default: that was its value when the trace was written. Raises ValueError if a
    value does not have the type of its field.
    """
    content = content_of(cls)
    if len(columns) > len(content.names) or MISSING in content.defaults[len(columns) :]:
        raise ValueError(f"a {cls.__name__} row has more or fewer fields than a {cls.__name__}")
    if not columns:
        return [cls()] * count
    values = [unpacked(column, count, check) for column, check in zip(columns, _checks_of(cls), strict=False)]
    if count > 1 and all(type(column) is dict and "all" in column for column in columns):
        return [cls(*[next(iter(same)) for same in values])] * count
    return list(map(cls, *values))


def size_of(value: Any) -> int:
    """How many characters and items a text or a tuple has, at all levels."""
    if type(value) is str:
        return len(value)
    return 1 + sum(map(size_of, value)) if isinstance(value, tuple) else 1
