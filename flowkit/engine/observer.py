"""Who may watch a session: recorder, live view, reference detector. Called by the pump, in the order in which things happen."""

from __future__ import annotations

from flowkit.engine.effects import Effect, Stimulus
from flowkit.engine.journal import Row


class Observer:
    """Watches one session, in the methods that a subclass overrides. Every method must return at once: slow work belongs into a
    thread of the observer's own."""

    def stimulus(self, stimulus: Stimulus) -> None:
        """A stimulus is about to be handled; its item still has its PCM."""

    def effect(self, effect: Effect) -> None:
        """An effect is about to be carried out; what is fed to the sink still has its PCM."""

    def rows(self, rows: list[Row]) -> None:
        """The journal's rows since the last time: a few times a second, and at the end."""

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Something that is no message: a stall, a device's event, a notice, a retry."""
