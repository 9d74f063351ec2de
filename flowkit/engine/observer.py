"""The interface of everything that watches a session: the recorder, the live view, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowkit.engine.effects import Effect, Stimulus
from flowkit.engine.journal import Row


class Observer:
    """Watches one session. A subclass overrides the methods that it needs.

    The pump calls them in the order in which things happen. Each must return at once: work that takes time belongs in a
    thread of the observer.
    """

    def stimulus(self, stimulus: Stimulus) -> None:
        """Called before the engine handles `stimulus`. Its item still has its PCM."""

    def effect(self, effect: Effect) -> None:
        """Called before the pump carries out `effect`. What is fed to the sink still has its PCM."""

    def rows(self, rows: list[Row]) -> None:
        """Called with the journal's new rows a few times a second, and at the end."""

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Called for something that is not a message: a stall, an event of a device, a notice, a retry.

        `at_us` is the session's time, `name` the kind of event, `detail` its text.
        """


def overridden(observers: Iterable[Observer], method: str) -> list[Callable[..., None]]:
    """The observers' methods of that name, without those that do nothing: calling them for every message would cost more than the
    rest of what happens to it."""
    nothing = getattr(Observer, method)
    bound: list[Any] = [getattr(observer, method) for observer in observers]
    return [call for call in bound if getattr(call, "__func__", None) is not nothing]
