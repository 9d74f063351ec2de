"""A journal's row as this room sees it, and the message kinds that a row may carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
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


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "int": lambda v: type(v) is int,
    "float": lambda v: type(v) in (int, float),
    "str": lambda v: type(v) is str,
    "bool": lambda v: type(v) is bool,
}


_CHECKS_OF: dict[type[Message], tuple[Callable[[Any], bool], ...]] = {}


def _checks(cls: type[Message]) -> tuple[Callable[[Any], bool], ...]:
    if cls not in _CHECKS_OF:
        _CHECKS_OF[cls] = tuple(_CHECKS.get(str(f.type), lambda v: True) for f in fields(cls) if f.name != "pcm")
    return _CHECKS_OF[cls]


def message_of(cls: type[Message], stored: Any) -> Message:
    """The message that `content` was taken from. Raises TraceError if the values are not of the fields' types."""
    checks = _checks(cls)
    if type(stored) is not list or len(stored) != len(checks):
        raise TraceError(f"a {cls.__name__} row does not have the fields of one")
    for check, value in zip(checks, stored, strict=True):
        if not check(value):
            raise TraceError(f"a {cls.__name__} row holds {str(value)[:40]!r} where that cannot be")
    return cls(*[_tuples(value) if type(value) is list else value for value in stored])


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if type(value) is list else value
