"""The microphone's stage passes on what it is given, and nothing else."""

from flowkit.messages import Capture, Done, Frames, InputEnded
from flowkit.stages.base import Emit, Open
from flowkit.stages.source import Source


def test_frames_and_the_end_are_passed_on() -> None:
    stage = Source(Source.Options())
    assert list(stage.begin(None)) == [Open(Capture())]
    assert list(stage.step(None, Frames(0, 1), 0)) == [Emit("audio", Frames(0, 1))]
    assert list(stage.step(None, InputEnded(1), 0)) == [Emit("end", InputEnded(1))]
    assert list(stage.step(None, Done(), 0)) == []
