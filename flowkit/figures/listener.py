"""An observer that keeps what the reference detector needs: the level of every microphone frame."""

from __future__ import annotations

from typing import Any

from flowkit.figures.reference import Reference
from flowkit.messages import Frames

_BATCH = 50


class Listener:
    """An observer that keeps the levels of what the source gave; a plan without a microphone has none.

    Frames are gathered and measured a second at a time, for numpy costs as much for one frame as for fifty.
    """

    def __init__(self, plan: Any) -> None:
        sources = [i for i, stage in enumerate(plan.stages) if stage.kind == "mic"]
        self._source = sources[0] if sources else -1
        self._reference = Reference(plan.input_rate_hz * plan.frame_us // 1_000_000)
        self._first = 0
        self._pcm: list[bytes] = []

    def stimulus(self, stimulus: Any) -> None:
        """Keep the frames' sound until there is a second of it."""
        if stimulus[0] != self._source or not isinstance(stimulus[2], Frames) or not stimulus[2].pcm:
            return
        frames: Frames = stimulus[2]
        if frames.index != self._first + len(self._pcm) or len(self._pcm) >= _BATCH:
            self._measure()
            self._first = frames.index
        if frames.count == 1:
            self._pcm.append(frames.pcm)
        else:
            self._reference.add(frames.index, frames.pcm)
            self._first = frames.index + frames.count

    def effect(self, effect: Any) -> None:
        """Nothing to hear."""

    def rows(self, rows: list[Any]) -> None:
        """Nothing to hear."""

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Nothing to hear."""

    def reference(self) -> Reference | None:
        """The ruler over all that was heard so far; None if there is no microphone."""
        self._measure()
        return self._reference if self._source >= 0 else None

    def _measure(self) -> None:
        if self._pcm:
            self._reference.add(self._first, b"".join(self._pcm))
            self._first += len(self._pcm)
            self._pcm.clear()
