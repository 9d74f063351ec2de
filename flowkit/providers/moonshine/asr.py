"""Moonshine tiny (English) on the CPU: the default of an embedded pipeline. It transcribes a second of speech in about
0.1 s.

flowkit's VAD finds the speech. Moonshine's own VAD is switched off, because it invents words at the start. For partial
transcripts the growing utterance is decoded again and again. Given silence, the model returns "You".
https://github.com/moonshine-ai/moonshine

    {kind: asr, provider: moonshine, every: 600ms}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import EndOfUtterance, Final, Frames, Message, Partial, SpeechStarted
from flowkit.providers.base import Emit, Provider
from flowkit.providers.loading import lone_error
from flowkit.providers.moonshine.model import RATE_HZ, Decoder
from flowkit.providers.moonshine.utterances import Purpose, Segment, Utterances
from flowkit.providers.weights import MOONSHINE_DECODER, MOONSHINE_ENCODER, SETUP_LOCAL

_WAITING = 8
"""Segments that may wait for the model. While so many wait, the call takes no frames, and the stage's queue fills."""
_SILENT = 58.0**2
"""Mean square of a frame at -55 dB of full scale. A segment without a louder frame contains no speech."""
_NOTHING = frozenset({"", "you", "you."})
_SHORTEST_US = 800_000
"""A segment this short that is transcribed as "you" is a noise: besides pre-roll and tail it has less than 0.3 s of
voice."""


class Moonshine(Provider):
    """Answers with ``Partial`` while the user speaks, and with one ``Final`` for each end of utterance."""

    kind = "asr"
    name = "moonshine"
    requires = ("moonshine_voice", "numpy")
    install = SETUP_LOCAL
    licences = (("moonshine-voice", "MIT"), ("Moonshine tiny (model)", "MIT"))

    class Options(opt.Options):
        every: opt.Duration = opt.us("600ms")
        """Time between two partial transcripts. One is skipped while the model is busy."""
        longest: opt.Duration = opt.us("15s")
        """The longest audio that is decoded at a time. Longer speech is decoded in several segments."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderMissing if the model is not installed."""
        for weights in (MOONSHINE_ENCODER, MOONSHINE_DECODER):
            weights.path()

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Decoder]:
        """Load the model and run it once."""
        decoder = await trio.to_thread.run_sync(Decoder)
        async with decoder.closing():
            yield decoder

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Raises ProviderError if the input rate is not 16 kHz."""
        if self.around.input_rate_hz != RATE_HZ:
            raise ProviderError(f"asr moonshine: takes {RATE_HZ} Hz, the session has {self.around.input_rate_hz} Hz")
        yield

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await _Call(self, emit).run(fed)


class _Call:
    """One call: `_take` reads the input, and `_answer` decodes one segment after another and emits the transcripts."""

    def __init__(self, moonshine: Moonshine, emit: Emit) -> None:
        around, options = moonshine.around, moonshine.options
        self._decoder: Decoder = moonshine.model
        self._emit = emit
        self._shortest = _SHORTEST_US // around.frame_us
        samples = RATE_HZ * around.frame_us // US_PER_S
        self._utterances = Utterances(samples, around.frame_us, options.every, options.longest)
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
                elif isinstance(item, Frames) and (segment := self._hear(item)):
                    await self._send.send(segment)

    def _hear(self, frames: Frames) -> Segment | None:
        commit = self._utterances.hear(frames)
        # A partial transcript that has to wait would be out of date when it comes.
        if commit or self._busy or self._send.statistics().current_buffer_used:
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
        if segment.loudest < _SILENT:
            return ""
        if segment.purpose is Purpose.FINAL and self._last:
            earlier, text = self._last
            if earlier.first == segment.first and earlier.until >= segment.settled:
                return text
        text = await self._decoder.decode(segment.pcm)
        short = segment.until - segment.first <= self._shortest
        return "" if short and text.casefold() in _NOTHING else text

    async def _say(self, segment: Segment, text: str) -> None:
        whole = " ".join([*self._committed, text]).strip()
        if segment.purpose is Purpose.FINAL:
            self._committed.clear()
            await self._emit(Final(whole, segment.utterance))
        elif segment.purpose is Purpose.COMMIT:
            self._committed.append(text)
        elif whole:
            await self._emit(Partial(whole))
