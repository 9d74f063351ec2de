"""WAV files as microphone and speaker, in real time, as with ``flowkit run FILE --input a.wav --output b.wav``.

stages:
  - {kind: mic, provider: wav, path: question.wav}
  - {kind: speaker, provider: wav, path: reply.wav}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import OutputError
from flowkit.files import make_folder
from flowkit.messages import Message
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.inline import InlineCall, InlineProvider
from flowkit.providers.loading import imported
from flowkit.providers.sound.capture import captured
from flowkit.providers.sound.sink import render
from flowkit.providers.sound.timeline import Pop
from flowkit.providers.sound.wav_read import look, read_recording
from flowkit.providers.sound.wav_write import WavWriter

INSTALL = "pip install flowkit-voice"


class WavSource(InlineProvider):
    """A microphone that plays a WAV file and then silence. It may have any sample width, 8 to 192 kHz, and any number
    of channels."""

    kind = "mic"
    name = "wav"
    requires = ("numpy", "soundfile", "soxr")
    install = INSTALL
    licences = (("soundfile", "BSD-3-Clause"), ("soxr", "LGPL-2.1-or-later"))

    class Options(opt.Options):
        path: Path
        """The WAV file to play."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises InputError if the file is missing or cannot be read."""
        look(options.path)

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._pcm = b""

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Read the whole file. Raises InputError if it cannot be read."""
        recording = await trio.to_thread.run_sync(read_recording, self.options.path, self.around.input_rate_hz)
        for notice in recording.notices:
            self.around.notice(notice)
        self._pcm = recording.pcm
        yield

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=lambda: captured(self._pcm, self.around))


class WavSink(Provider):
    """A speaker that writes a WAV file. A sample's position in the file is its session time. Written at most 100 ms
    late."""

    kind = "speaker"
    name = "wav"
    requires = ("numpy", "soxr")
    install = INSTALL
    licences = (("soundfile", "BSD-3-Clause"), ("soxr", "LGPL-2.1-or-later"))

    class Options(opt.Options):
        path: Path
        """The file to write, 16-bit mono. Its folder is made if it is missing."""
        overwrite: bool = False
        """Replace an existing file when the session starts."""
        rate: int | None = Field(default=None, ge=8_000, le=192_000)
        """Sample rate in Hz. Default: the rate of the first audio."""

    options: Options

    WRITE_EVERY_US = 80_000
    """Time between two writes. A write of several frames costs as much as one of a single frame."""

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises OutputError if the file exists and `overwrite` is not set, or if it cannot be written."""
        if options.path.is_file() and not options.overwrite:
            hint = "give another name, or --overwrite (in a pipeline file: overwrite: true)"
            raise OutputError(f"{options.path} already exists", hint=hint)
        if not options.path.exists():
            make_folder(options.path.parent)
            WavWriter(options.path, options.rate).close(0)  # this leaves no file

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._writer: WavWriter | None = None
        self._unwritten: list[Pop] = []

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open the file, and close it after the session. Raises OutputError."""
        self.check(self.options)
        await imported("numpy", "soxr")
        self._writer = WavWriter(self.options.path, self.options.rate)
        try:
            yield
        finally:
            self._writer.close(0)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        writer = self._writer
        assert writer is not None, "call() comes after ready()"
        writer.begin()
        next_write_us = 0

        async def heard(pops: list[Pop], until_us: int) -> None:
            nonlocal next_write_us
            self._unwritten += pops
            if until_us >= next_write_us:
                next_write_us = until_us + self.WRITE_EVERY_US
                batch, self._unwritten = self._unwritten, []
                # In a thread because the disk may be slow. A write that has started is finished even if the session is cancelled.
                await trio.to_thread.run_sync(writer.write, batch, until_us)

        try:
            await render(fed, self.around, heard)
        finally:
            writer.write(self._unwritten, self.around.now_us())
