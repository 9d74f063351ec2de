"""Base class of end-of-turn predictors that judge the sound of the turn instead of its words.

Such a predictor hears the microphone. At each pause it judges the turn so far.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar

import trio

from flowkit.clock import US_PER_S
from flowkit.messages import EndOfUtterance, Frames, Message, Prediction, SpeechStarted, SpeechStopped
from flowkit.providers.base import Emit, Provider

_LONGEST_US = 8 * US_PER_S
"""How much of a turn is judged, from its end."""
_BEFORE_US = 200_000
"""Sound before the frame at which the VAD noticed speech, for a soft beginning."""


class SoundPredictor(Provider):
    """Answers each pause of the user with one Prediction. A subclass implements ``judge``."""

    kind = "turn"
    hears: ClassVar[bool] = True
    takes_us: ClassVar[int] = 60_000
    """About how long it takes to judge, in microseconds: for a replay that computes it."""

    @abstractmethod
    def judge(self, pcm: bytes) -> float:
        """The probability that a turn with this sound (s16le mono at the input rate) has ended. Runs in a thread."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        turn = TurnSound(self.around.input_rate_hz * self.around.frame_us // US_PER_S, self.around.frame_us)
        async for item in fed:
            turn.take(item)
            if isinstance(item, SpeechStopped):
                # Asked before the sound is judged: what comes meanwhile is not in it.
                until = turn.until
                p = await trio.to_thread.run_sync(self.judge, turn.pcm(), abandon_on_cancel=True)
                await emit(Prediction(p, self.name, until))


class TurnSound:
    """The sound of the turn, from its begin on, as far as it is kept. Each frame has `samples` samples."""

    def __init__(self, samples: int, frame_us: int) -> None:
        self._bytes = 2 * samples
        self._most = _LONGEST_US // frame_us
        self._before = _BEFORE_US // frame_us
        self._pcm = bytearray()
        self._next = 0
        self._begins: int | None = None

    @property
    def until(self) -> int:
        """The newest frame."""
        return self._next - 1

    def take(self, item: Message) -> None:
        """Take what the stage feeds."""
        match item:
            case Frames():
                self._add(item)
            case SpeechStarted(frame=frame) if self._begins is None:
                self._begins = frame - self._before
            case EndOfUtterance():
                self._begins = None

    def _add(self, frames: Frames) -> None:
        # Lost frames are silence, so that a frame's place follows from its index.
        lost = max(0, frames.index - self._next)
        self._pcm += bytes(min(lost, self._most) * self._bytes) + frames.pcm.ljust(frames.count * self._bytes, b"\0")
        del self._pcm[: max(0, len(self._pcm) - self._most * self._bytes)]
        self._next = frames.index + frames.count

    def pcm(self) -> bytes:
        """The turn's sound up to now."""
        kept = self._next - len(self._pcm) // self._bytes
        first = max(0, (kept if self._begins is None else self._begins) - kept)
        return bytes(self._pcm[first * self._bytes :])
