"""The interface of everything that watches a session: the recorder, the live view, metrics."""

from __future__ import annotations

from flowkit.engine.journal import Row


class Observer:
    """Watches one session. A subclass overrides the methods that it needs.

    The pump calls them in the order in which things happen. Each must return at once: work that takes time belongs in a
    thread of the observer.
    """

    def begin(self) -> None:
        """Called when the session's clock starts."""

    def at_once(self, rows: list[Row]) -> None:
        """Called after each step of the engine with the journal's new rows, as they are. Only for who must react at once:
        everyone else takes ``rows``, which costs less, and has secrets masked."""

    def rows(self, rows: list[Row]) -> None:
        """Called with the journal's new rows a few times a second, and at the end. Their messages have their sound."""

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Called for something that is not a message: a stall, an event of a device, a notice, a retry.

        `at_us` is the session's time, `name` the kind of event, `detail` its text.
        """
