"""Who may watch a live session: recorder, live view, reference detector. Called by the pump, in the order in which things happen.

The types of the engine stand above this room, so they are named here and not imported.
"""

from __future__ import annotations

from typing import Any, Protocol


class Observer(Protocol):
    """Watches one session. Every method must return at once: slow work belongs into a thread of the observer's own."""

    def stimulus(self, stimulus: Any) -> None:
        """A ``flowkit.engine.Stimulus`` is about to be handled; its item still has its PCM."""

    def effect(self, effect: Any) -> None:
        """A ``flowkit.engine.Effect`` is about to be carried out; what is fed to the sink still has its PCM."""

    def rows(self, rows: list[Any]) -> None:
        """The journal's rows since the last time, as ``flowkit.engine.Row``: at most every 250 ms, and at the end."""

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Something that is no message: a stall, a device's event, a notice, a retry."""
