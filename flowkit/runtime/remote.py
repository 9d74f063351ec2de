"""Controls a session from outside, for who speaks for the user: a connection, or a program with its own sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from flowkit.messages import Message

if TYPE_CHECKING:
    from flowkit.figures.live import LiveFigures
    from flowkit.runtime.pump import TrioPump


class Remote:
    """Passes messages to the session that it was given to (``Host.run_session``). Before the session begins and after it has ended,
    it does nothing. What is passed is recorded like everything else, so it is replayed too."""

    def __init__(self) -> None:
        self._pump: TrioPump | None = None
        self.begun = trio.Event()
        """Set when the session begins."""

    def _attach(self, pump: TrioPump | None, figures: LiveFigures) -> None:
        """The session calls it when it begins, and with None when it ends."""
        self._pump = pump
        if pump is not None:
            self.begun.set()

    def close(self, reason: str = "closed") -> None:
        """End the session in order."""
        if self._pump is not None:
            self._pump.close(reason)

    def tell(self, kind: str, message: Message) -> None:
        """Pass `message` to the stage of this kind, such as ``gate``."""
        if self._pump is not None:
            self._pump.tell(kind, message)

    def push(self, item: Message) -> None:
        """Give `item` to the microphone, which must be a ``PushedSource``."""
        if self._pump is not None:
            self._pump.push(item)
