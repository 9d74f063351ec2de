"""Moonshine tiny (English) on the CPU: the embedded default. Transcribes a second of speech in about 0.1 s.

flowkit's own detector says where speech is; Moonshine's is switched off, because it invents leading words. Partial
transcripts come from decoding the growing utterance again. Where it hears nothing the model says "You".

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
from flowkit.providers.moonshine.utterances import Purpose, Stretch, Utterances
from flowkit.providers.weights import LOCAL_EXTRA, MOONSHINE_DECODER, MOONSHINE_ENCODER

_WAITING = 8
"""Stretches that may wait for the model; when there are more, the call stops taking frames, and the stage's queue
fills."""
_SILENT = 58.0**2
"""Mean square of a frame at -55 dB of full scale: in a stretch without a louder one nothing was said."""
_NOTHING = frozenset({"", "you", "you."})
_SHORTEST_US = 800_000
"""A stretch this short that is transcribed as "you" is a noise: with pre-roll and tail it holds under 0.3 s of
voice."""


class Moonshine(Provider):
    """Answers with Partial while the user speaks, and with one Final for each end of utterance."""

    kind = "asr"
    name = "moonshine"
    requires = ("moonshine_voice", "numpy")
    install = LOCAL_EXTRA

    class Options(opt.Options):
        every: opt.Duration = opt.us("600ms")
        """Between two partial transcripts; one is skipped while another is being made."""
        longest: opt.Duration = opt.us("15s")
        """What is decoded at a time; longer speech is committed piece by piece."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderMissing if the model is not there."""
        for weights in (MOONSHINE_ENCODER, MOONSHINE_DECODER):
            weights.path()

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Decoder]:
        """Load and warm the model."""
        decoder = await trio.to_thread.run_sync(Decoder)
        async with decoder.closing():
            yield decoder

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Raises ProviderError for an input rate that the model does not know."""
        if self.around.input_rate_hz != RATE_HZ:
            raise ProviderError(f"asr moonshine: takes {RATE_HZ} Hz, the session has {self.around.input_rate_hz} Hz")
        yield

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await _Call(self, emit).run(fed)


class _Call:
    """One session's transcription: `_take` follows the input, `_answer` decodes and speaks; the model is asked once at
    a time."""

    def __init__(self, moonshine: Moonshine, emit: Emit) -> None:
        around, options = moonshine.around, moonshine.options
        self._decoder: Decoder = moonshine.model
        self._emit = emit
        self._shortest = _SHORTEST_US // around.frame_us
        samples = RATE_HZ * around.frame_us // US_PER_S
        self._utterances = Utterances(samples, around.frame_us, options.every, options.longest)
        self._send, self._receive = trio.open_memory_channel[Stretch](_WAITING)
        self._busy = False
        self._committed: list[str] = []
        self._last: tuple[Stretch, str] | None = None

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
                elif isinstance(item, Frames) and (stretch := self._hear(item)):
                    await self._send.send(stretch)

    def _hear(self, frames: Frames) -> Stretch | None:
        commit = self._utterances.hear(frames)
        if commit or self._busy or self._send.statistics().current_buffer_used:
            return commit
        return self._utterances.partial()

    async def _answer(self) -> None:
        async for stretch in self._receive:
            self._busy = True
            text = await self._text(stretch)
            self._last = (stretch, text)
            await self._say(stretch, text)
            self._busy = False

    async def _text(self, stretch: Stretch) -> str:
        """What the model hears in `stretch`; the last answer, if that was to as much of the same sound."""
        if stretch.loudest < _SILENT:
            return ""
        if stretch.purpose is Purpose.FINAL and self._last:
            earlier, text = self._last
            if earlier.first == stretch.first and earlier.until >= stretch.settled:
                return text
        text = await self._decoder.decode(stretch.pcm)
        short = stretch.until - stretch.first <= self._shortest
        return "" if short and text.casefold() in _NOTHING else text

    async def _say(self, stretch: Stretch, text: str) -> None:
        whole = " ".join([*self._committed, text]).strip()
        if stretch.purpose is Purpose.FINAL:
            self._committed.clear()
            await self._emit(Final(whole, stretch.utterance))
        elif stretch.purpose is Purpose.COMMIT:
            self._committed.append(text)
        elif whole:
            await self._emit(Partial(whole))
