"""Any server with OpenAI's speech API: Kokoro-FastAPI, Speaches, LocalAI, vLLM, OpenAI itself.

The audio of a clause is streamed as raw samples, or as a WAV file by a server that knows nothing else.
https://platform.openai.com/docs/api-reference/audio/createSpeech

    {kind: tts, provider: openai_compatible, base_url: "http://127.0.0.1:8880/v1", model: kokoro, voice: af_heart}
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from flowkit.errors import ProviderError
from flowkit.messages import Audio, Message, Speak, Usage
from flowkit.providers.base import Emit
from flowkit.providers.cloud.client import let_go, next_bytes
from flowkit.providers.cloud.faults import of_status
from flowkit.providers.openai_compatible.events import SpeechEvents
from flowkit.providers.openai_compatible.samples import Samples
from flowkit.providers.openai_compatible.server import OpenAIServer, SpeechOptions
from flowkit.providers.plain import plain


class OpenAISpeech(OpenAIServer):
    """Answers a ``Speak`` with its audio, in pieces of at most 100 ms. The API gives no word times."""

    kind = "tts"
    tells_tokens: ClassVar[Mapping[str, object]] = {"stream_format": "sse"}

    class Options(SpeechOptions):
        voice: str = Field(min_length=1)
        """The voice's name, as the server knows it."""
        rate: int = Field(default=24_000, ge=8_000, le=48_000)
        """Sample rate of the server's raw samples in Hz. OpenAI's is 24,000. A WAV file says its own."""
        speed: float = Field(default=1.0, ge=0.25, le=4.0)
        """Speed of speech: 1.0 is the voice's own. It is sent only if it is another."""
        stream_format: Literal["audio", "sse"] = "audio"
        """`sse`: the audio comes in events, and the last of them says how many tokens were used. OpenAI's models know it,
        except `tts-1` and `tts-1-hd`."""

    options: Options

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Speak):
            raise ProviderError(f"{self.title}: cannot speak {type(request).__name__}")
        # The server refuses an empty text.
        if plain(request.text).strip():
            with self.named():
                await self._speak(request, emit)

    async def _speak(self, request: Speak, emit: Emit) -> None:
        response = await self.client.post("/audio/speech", self._body(request), self.connect_s)
        stream = response.aiter_bytes()
        samples, first = Samples(self.options.rate), 0
        sent = Usage(characters=len(plain(request.text)))
        try:
            await emit(sent)
            kind = response.headers.get("content-type", "")
            if "json" in kind or "html" in kind:
                raise of_status(response.status_code, f"{kind} instead of audio")
            events = SpeechEvents() if "event-stream" in kind else None
            while data := await next_bytes(stream):
                for pcm in samples.feed(data if events is None else events.feed(data)):
                    count = len(pcm) // 2
                    await emit(Audio(request.clause, first, count, samples.rate_hz, 0, pcm))
                    first += count
            if events is not None:
                await emit(sent + events.whole())
        finally:
            await let_go(response, stream)

    def _body(self, request: Speak) -> dict[str, Any]:
        options = self.options
        body: dict[str, Any] = {
            "model": options.model,
            "voice": options.voice,
            "input": plain(request.text),
            "response_format": "pcm",
        }
        if options.stream_format != "audio":
            body["stream_format"] = options.stream_format
        if options.speed != 1.0:
            body["speed"] = options.speed
        return body | options.extra
