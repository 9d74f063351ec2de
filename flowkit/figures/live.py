"""The figures of a running session."""

from __future__ import annotations

from collections.abc import Iterable

from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import Figures
from flowkit.figures.reference import Reference
from flowkit.figures.stalls import Stalls
from flowkit.messages import Frames
from flowkit.plan.graph import Plan

_BATCH = 50
"""How many frames are measured at once: a second. numpy takes as long for one frame as for fifty."""


class LiveFigures(Figures, Observer):
    """An observer that computes a session's figures.

    Of the input it keeps one byte per frame, the level. `stalls` counts how often the event loop was held.
    """

    def __init__(self, plan: Plan) -> None:
        layout = layout_of(plan)
        self._source = layout.only("mic")
        self._reference = Reference(plan.input_rate_hz * plan.frame_us // 1_000_000)
        super().__init__(layout, self._reference if self._source else None)
        self.stalls = Stalls()
        self._first = self._frames = 0
        """The first of the frames that were collected, and how many they are."""
        self._pcm: list[bytes] = []

    def reference(self) -> Reference | None:
        """The reference detector over the input so far, or None if there is no microphone."""
        self._measure()
        return super().reference()

    def rows(self, rows: Iterable[Row]) -> None:
        """Follow the rows, and collect the sound of frames until there is a second of it."""
        rows = list(rows)
        for row in rows:
            if row.stage == self._source and isinstance(row.message, Frames) and row.message.pcm:
                self._hear(row.message)
        super().rows(rows)

    def _hear(self, frames: Frames) -> None:
        # After a gap in the frames, or with a second of them, what was collected is measured.
        if frames.index != self._first + self._frames or self._frames >= _BATCH:
            self._measure()
            self._first = frames.index
        self._pcm.append(frames.pcm)
        self._frames += frames.count

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Handle an event of a device or of the watchdog."""
        self.stalls.add(name, detail)
        super().event(at_us, name, detail)

    def _measure(self) -> None:
        """Compute the levels of the collected frames."""
        if self._pcm:
            self._reference.add(self._first, b"".join(self._pcm))
            self._first += self._frames
            self._frames = 0
            self._pcm.clear()
