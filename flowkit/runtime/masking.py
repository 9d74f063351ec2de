"""Secrets are masked between the session and all who watch it, once: what is recorded, shown or measured never held them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.messages import Clause, ClauseStarted, Heard, Message, Speak, Token
from flowkit.secrets import Masks, Pieces, known
from flowkit.trace.names import MASKED

_IN_PIECES = frozenset({Token, Clause, ClauseStarted, Heard, Speak})
"""Texts that others of their kind go on from; every other is whole in itself."""


class Masking(Observer):
    """An observer that hands everything on to `observers` without secrets, each text as long as it was."""

    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self._observers = observers
        self._pieces: dict[tuple[str, type[Message], str], Pieces] = {}
        self._masks = Masks()
        self._said = False

    def begin(self) -> None:
        for observer in self._observers:
            observer.begin()

    def rows(self, rows: list[Row]) -> None:
        masks = known()
        # Another secret is known now, and texts under way were split for the old ones.
        if masks is not self._masks:
            self._masks, self._pieces = masks, {}
        if masks:
            shown = [self._row(row) for row in rows]
            if not self._said and shown != rows:
                self._said = True
                self.event(shown[-1].handled_us, MASKED, "a secret came up; it is masked, here and wherever else")
            rows = shown
        for observer in self._observers:
            observer.rows(rows)

    def event(self, at_us: int, name: str, detail: str) -> None:
        detail = known()(detail)
        for observer in self._observers:
            observer.event(at_us, name, detail)

    def _row(self, row: Row) -> Row:
        kind = type(row.message)
        if not _texts(kind):
            return row

        def pieces(name: str) -> Pieces:
            if kind not in _IN_PIECES:
                return self._masks.pieces()
            return self._pieces.setdefault((row.stage, kind, name), self._masks.pieces())

        message = _masked(row.message, pieces)
        return row if message is row.message else row._replace(message=message)


def _masked(message: Message, pieces: Callable[[str], Pieces]) -> Message:
    """The message with its texts masked; itself if there is nothing to mask."""
    changed: dict[str, Any] = {}
    for name in _texts(type(message)):
        value = getattr(message, name)
        if value and (shown := _shown(value, pieces(name))) != value:
            changed[name] = shown
    if "text" in changed and hasattr(message, "spoken"):
        # The spoken form may hold the secret without its marks, where nobody finds it.
        changed |= {"spoken": changed["text"], "marks": ()}
    return replace(message, **changed) if changed else message


def _shown(value: Any, pieces: Pieces) -> Any:
    if isinstance(value, str):
        return pieces(value)
    if not isinstance(value, tuple):
        return value
    below = [_shown(part, pieces) for part in value]
    return (
        type(value)._make(below) if hasattr(value, "_make") else tuple(below)
    )  # a record, such as an Exchange, stays one


_TEXTS: dict[type[Message], tuple[str, ...]] = {}


def _texts(kind: type[Message]) -> tuple[str, ...]:
    """The fields of a kind of message that may hold text: all but numbers and sound."""
    if kind not in _TEXTS:
        plain = ("int", "float", "bool", "bytes")
        _TEXTS[kind] = tuple(field.name for field in fields(kind) if str(field.type) not in plain)
    return _TEXTS[kind]
