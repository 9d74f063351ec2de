"""A journal's row as this room sees it, and the message kinds that a row may carry."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, TypeAlias

from flowkit.errors import TraceError
from flowkit.messages import Message

RowTuple: TypeAlias = tuple[str, int, str, int, int, int, str, int, int, Message, str]
"""stage, n, cause stage, cause n, sent, handled, lane, epoch, turn, message, fate (``flowkit.engine.Row`` is one)."""

ROW_NAMES = ("stage", "n", "cause_stage", "cause_n", "sent_us", "handled_us", "lane", "epoch", "turn")
"""The plain part of a row."""

FATES = ("", "dropped", "discarded", "stale")


_NAMES: dict[type[Message], tuple[str, ...]] = {}


def content_names(cls: type[Message]) -> tuple[str, ...]:
    """A message's fields that belong into the journal, in order of declaration; PCM does not."""
    if cls not in _NAMES:
        _NAMES[cls] = tuple(f.name for f in fields(cls) if f.name != "pcm")
    return _NAMES[cls]


def content(message: Message) -> list[Any]:
    """The message's content as the journal keeps it."""
    return [getattr(message, name) for name in content_names(type(message))]


_DEFAULTS: dict[type[Message], tuple[Any, ...]] = {}


def stored_content(message: Message) -> list[Any]:
    """The content without the last fields where those have their defaults: so a field that a message gets later changes nothing in
    what was, and is still, stored."""
    cls = type(message)
    if cls not in _DEFAULTS:
        _DEFAULTS[cls] = tuple(f.default for f in _kept(cls))
    told, defaults = content(message), _DEFAULTS[cls]
    while told and told[-1] == defaults[len(told) - 1]:
        told.pop()
    return told


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


_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,), "bool": (bool,)}
_PLAIN: dict[type[Message], tuple[type, ...]] = {}
"""The types of a message's values as they are nearly always, so that most rows need one comparison."""


def message_of(cls: type[Message], stored: Any) -> Message:
    """The message that `content` was taken from. Raises TraceError if the values are not of the fields' types."""
    plain = _PLAIN.get(cls)
    if plain is None:
        plain = _PLAIN[cls] = tuple(_TYPES.get(str(f.type), (list,))[0] for f in _kept(cls))
    if type(stored) is not list:
        raise TraceError(f"a {cls.__name__} row does not have the fields of one")
    if tuple(map(type, stored)) == plain and list not in plain:
        return cls(*stored)
    return _checked(cls, stored)


def _checked(cls: type[Message], stored: list[Any]) -> Message:
    kept = _kept(cls)
    # A field that a message got later has a default, which is what was meant when the trace was written.
    if len(stored) > len(kept) or any(f.default is MISSING for f in kept[len(stored) :]):
        raise TraceError(f"a {cls.__name__} row does not have the fields of one")
    for field, value in zip(kept, stored, strict=False):
        if type(value) not in _TYPES.get(str(field.type), (type(value),)):
            raise TraceError(f"a {cls.__name__} row holds {str(value)[:40]!r} where that cannot be")
    return cls(*[_tuples(value) for value in stored])


def _kept(cls: type[Message]) -> list[Field[Any]]:
    return [f for f in fields(cls) if f.name != "pcm"]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if type(value) is list else value
