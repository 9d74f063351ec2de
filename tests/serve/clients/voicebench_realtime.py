"""An adapter by which voicebench, unmodified, calls a server of OpenAI's Realtime protocol.

Run as ``voicebench run SCENARIO -a voicebench_realtime:RealtimeAdapter --url URL``.
"""

import asyncio
import base64
import contextlib
import json
from typing import Any, ClassVar

import numpy as np
from voicebench.adapters.base import Adapter, AgentAudio, AgentClear, Transcript
from websockets.asyncio.client import ClientConnection, connect

RATE_HZ = 24_000


class RealtimeAdapter(Adapter):
    """PCM at 24 kHz both ways. The scenario's audio has another rate, and is interpolated."""

    name: ClassVar[str] = "realtime"

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(**options)
        self.url = url
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self._socket = await connect(self.url, additional_headers={"authorization": "Bearer any-key"}, max_size=None)
        self._reader = asyncio.create_task(self._read(self._socket))

    async def send_audio(self, pcm: Any) -> None:
        wanted = np.arange(round(len(pcm) * RATE_HZ / self.session.sample_rate)) * self.session.sample_rate / RATE_HZ
        samples = np.interp(wanted, np.arange(len(pcm)), pcm) * 32767
        audio = base64.b64encode(samples.astype("<i2").tobytes()).decode()
        assert self._socket is not None
        await self._socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._socket is not None:
            await self._socket.close()

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            event, now = json.loads(message), self.session.clock.now()
            if event["type"] == "response.output_audio.delta":
                samples = np.frombuffer(base64.b64decode(event["delta"]), "<i2").astype(np.float64) / 32768
                wanted = (
                    np.arange(len(samples) * self.session.sample_rate // RATE_HZ) * RATE_HZ / self.session.sample_rate
                )
                self.emit(AgentAudio(np.interp(wanted, np.arange(len(samples)), samples).astype(np.float32), now))
            elif event["type"] == "input_audio_buffer.speech_started":
                self.emit(AgentClear(now))
            elif event["type"] == "conversation.item.input_audio_transcription.completed":
                self.emit(Transcript("user", event["transcript"], now))
