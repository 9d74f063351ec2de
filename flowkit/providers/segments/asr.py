"""Base class of ASRs that decode a stretch of audio at a time: a model in this process, or a server that takes files.

Such an ASR does not follow a stream. flowkit's VAD finds the speech, ``Utterances`` decides which segment to decode
next, and the transcripts of the segments are joined.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator

import trio

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.messages import EndOfUtterance, Final, Frames, Message, Partial, SpeechStarted, SpeechStopped
from flowkit.providers.base import Emit, Provider
from flowkit.providers.loading import lone_error
from flowkit.providers.segments.utterances import Purpose, Segment, Utterances

_WAITING = 8
"""Segments that may wait for the model. While so many wait, the call takes no frames, and the stage's queue fills."""
SILENT = 58.0**2
"""Mean square of a frame at -55 dB of full scale. A segment without a louder frame contains no speech."""
NOTHING = frozenset({"", "you", "you."})
"""What Moonshine and Whisper return for silence."""
_SHORTEST_US = 800_000
"""A segment this short that is transcribed as "you" is a noise: besides pre-roll and tail it has less than 0.3 s of
voice."""


class SegmentOptions(opt.Options):
    """Options of every ASR that decodes segments."""

    every: opt.Duration = opt.us("600ms")
    """Time between two partial transcripts; 0ms for none. One is skipped while the model is busy."""
    longest: opt.Duration = opt.us("15s")
    """The longest audio that is decoded at a time. Longer speech is decoded in several segments."""


class SegmentAsr(Provider):
    """Answers with ``Partial`` while the user speaks, and with one ``Final`` for each end of utterance.

    A subclass implements ``decode``. Its options are ``SegmentOptions``.
    """

    kind = "asr"
    eager: bool = True
    """Whether the utterance is decoded as soon as the user is quiet, so that the transcript is there when it ends."""
    ahead_us: int = 0
    """Quiet after which it is decoded once before that. 0: not."""

    @property
    def free(self) -> bool:
        """Whether a segment would be decoded at once. Otherwise there are no partial transcripts."""
        return True

    @abstractmethod
    async def decode(self, pcm: bytes) -> str:
        """The transcript of `pcm`: s16le mono at the session's input rate."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await _Call(self, emit).run(fed)


class _Call:
    """One call: `_take` reads the input, and `_answer` decodes one segment after another and emits the transcripts."""

    def __init__(self, asr: SegmentAsr, emit: Emit) -> None:
        around, options = asr.around, asr.options
        self._asr = asr
        self._emit = emit
        self._shortest = _SHORTEST_US // around.frame_us
        samples = around.input_rate_hz * around.frame_us // US_PER_S
        self._utterances = Utterances(
            samples, around.frame_us, options.every, options.longest, eager=asr.eager, ahead_us=asr.ahead_us
        )
        self._send, self._receive = trio.open_memory_channel[Segment](_WAITING)
        self._busy = False
        self._committed: list[str] = []
        self._last: tuple[Segment, str] | None = None

    async def run(self, fed: AsyncIterator[Message]) -> None:
        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answer)
                await self._take(fed)

    async def _take(self, fed: AsyncIterator[Message]) -> None:
        async with self._send:
            async for item in fed:
                if isinstance(item, EndOfUtterance):
                    await self._send.send(self._utterances.ended(item))
                elif isinstance(item, SpeechStarted):
                    self._utterances.speech_started(item.frame)
                elif isinstance(item, SpeechStopped) and (segment := self._utterances.paused()):
                    # Not skipped while the model is busy: whether the turn is over depends on the last words.
                    await self._send.send(segment)
                elif isinstance(item, Frames) and (segment := self._hear(item)):
                    await self._send.send(segment)

    def _hear(self, frames: Frames) -> Segment | None:
        commit = self._utterances.hear(frames)
        # A partial transcript that has to wait would be out of date when it comes.
        if commit or self._busy or self._send.statistics().current_buffer_used or not self._asr.free:
            return commit
        return self._utterances.partial()

    async def _answer(self) -> None:
        async for segment in self._receive:
            self._busy = True
            text = await self._text(segment)
            self._last = (segment, text)
            await self._say(segment, text)
            self._busy = False

    async def _text(self, segment: Segment) -> str:
        """The transcript of `segment`. The last transcript is used again if it covers the same audio."""
        if segment.loudest < SILENT:
            return ""
        if segment.settled and self._last:
            earlier, text = self._last
            if earlier.first == segment.first and earlier.until >= segment.settled:
                return text
        text = await self._asr.decode(segment.pcm)
        short = segment.until - segment.first <= self._shortest
        return "" if short and text.casefold() in NOTHING else text

    async def _say(self, segment: Segment, text: str) -> None:
        whole = " ".join([*self._committed, text]).strip()
        if segment.purpose is Purpose.FINAL:
            self._committed.clear()
            await self._emit(Final(whole, segment.utterance))
        elif segment.purpose is Purpose.COMMIT:
            self._committed.append(text)
        elif whole:
            await self._emit(Partial(whole, segment.until - 1))
