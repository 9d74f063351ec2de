"""The microphone's stage passes on what it is given, and nothing else."""

from flowkit.messages import Capture, Done, Failed, Fault, Frames, InputEnded
from flowkit.stages.base import Emit, Open
from flowkit.stages.source import Source


def test_frames_and_the_end_are_passed_on() -> None:
    stage = Source(Source.Options())
    assert list(stage.begin(None)) == [Open(Capture())]
    assert list(stage.step(None, Frames(0, 1), 0)) == [Emit("audio", Frames(0, 1))]
    assert list(stage.step(None, InputEnded(1), 0)) == [Emit("end", InputEnded(1))]


def test_a_microphone_that_is_gone_is_a_fault() -> None:
    stage = Source(Source.Options())
    assert list(stage.step(None, Failed("error", "unplugged"), 0)) == [Emit("faults", Fault("mic", "unplugged"))]
    (fault,) = stage.step(None, Done(), 0)
    assert isinstance(fault, Emit)
    assert "stopped before the session ended" in fault.message.what  # type: ignore[attr-defined]
