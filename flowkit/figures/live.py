"""The figures of a session that runs: an observer that follows its rows, and measures how loud the microphone's frames are."""

from __future__ import annotations

from flowkit.engine import Stimulus
from flowkit.engine.observer import Observer
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import Figures
from flowkit.figures.reference import Reference
from flowkit.figures.stalls import Stalls
from flowkit.messages import Frames
from flowkit.plan.graph import Plan

_BATCH = 50


class LiveFigures(Figures, Observer):
    """An observer that keeps a session's figures; of the input it keeps a byte a frame. `stalls`: how often the loop was held.

    Frames are gathered and measured a second at a time, for numpy costs as much for one frame as for fifty.
    """

    def __init__(self, plan: Plan) -> None:
        sources = [i for i, stage in enumerate(plan.stages) if stage.kind == "mic"]
        self._source = sources[0] if sources else -1
        self._ruler = Reference(plan.input_rate_hz * plan.frame_us // 1_000_000)
        super().__init__(layout_of(plan), self._ruler if sources else None)
        self.stalls = Stalls()
        self._first = 0
        self._pcm: list[bytes] = []

    def reference(self) -> Reference | None:
        """The ruler over all that was heard so far; None if there is no microphone."""
        self._measure()
        return super().reference()

    def stimulus(self, stimulus: Stimulus) -> None:
        """Keep the frames' sound until there is a second of it."""
        frames = stimulus.item
        if stimulus.stage != self._source or not isinstance(frames, Frames) or not frames.pcm:
            return
        if frames.index != self._first + len(self._pcm) or len(self._pcm) >= _BATCH:
            self._measure()
            self._first = frames.index
        if frames.count == 1:
            self._pcm.append(frames.pcm)
        else:
            self._ruler.add(frames.index, frames.pcm)
            self._first = frames.index + frames.count

    def event(self, at_us: int, name: str, detail: str) -> None:
        """What a device tells of its sound counts, and what the watchdog tells."""
        self.stalls.tell(name, detail)
        super().event(at_us, name, detail)

    def _measure(self) -> None:
        if self._pcm:
            self._ruler.add(self._first, b"".join(self._pcm))
            self._first += len(self._pcm)
            self._pcm.clear()
