"""The microphone's stage: passes frames on in order. Its bound is the device's ring, not a queue."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from flowkit import options as opt
from flowkit.messages import Capture, ClearInput, CommitInput, Done, Failed, Fault, Frames, InputEnded, Message
from flowkit.stages.base import NOTHING, Actions, Emit, Open, Stage, gone, new

_FRAMES = ("10ms", "20ms", "30ms")
"""What VADs take: WebRTC's rejects every other length."""


def _of_a_vad(frame_us: int) -> int:
    if frame_us not in map(opt.parse_duration, _FRAMES):
        *first, last = map(repr, _FRAMES)
        raise PydanticCustomError("literal_error", "must be {expected}", {"expected": f"{', '.join(first)} or {last}"})
    return frame_us


Frame = Annotated[opt.Duration, AfterValidator(_of_a_vad), WithJsonSchema({"type": "string", "enum": list(_FRAMES)})]


class Source(Stage[None]):
    """Device -> `audio` for vad and asr; `end` when a file is over."""

    kind = "mic"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {}
    outputs: ClassVar[dict[str, str]] = {"audio": "audio", "end": "end", "faults": "progress"}

    class Options(opt.Options):
        frame: Frame = opt.us("20ms")
        """Length of one frame: 10, 20 or 30 ms, which is what VADs take."""
        ring: opt.Duration = opt.us("1s")
        """How much audio the device may hold while the pipeline is busy. Older frames are dropped, and the drop is
        recorded."""

    def fresh(self) -> None:
        return None

    def begin(self, state: None) -> Actions:
        return (Open(Capture()),)

    def step(self, state: None, message: Message, now_us: int) -> Actions:
        if type(message) is Frames:
            return (new(Emit, ("audio", message)),)
        if isinstance(message, (CommitInput, ClearInput)):
            return (Emit("audio", message),)
        if isinstance(message, InputEnded):
            return (Emit("end", message),)
        if isinstance(message, (Failed, Done)):
            return (Emit("faults", Fault("mic", gone(message, "microphone"))),)
        return NOTHING
