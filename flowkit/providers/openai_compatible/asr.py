"""Any server with OpenAI's transcription API: Speaches, LocalAI, vLLM, Groq, OpenAI itself.

The API takes a file. So the utterance is sent when the user is quiet, and if `every` says so also while it grows, for
partial transcripts. https://platform.openai.com/docs/api-reference/audio/createTranscription

    {kind: asr, provider: openai_compatible, base_url: "http://127.0.0.1:8000/v1", model: Systran/faster-whisper-small}
"""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.messages import Message, Usage
from flowkit.providers.base import Emit, Surroundings
from flowkit.providers.cloud.faults import schema
from flowkit.providers.openai_compatible.server import OpenAIServer, SpeechOptions
from flowkit.providers.openai_compatible.usage import used_of
from flowkit.providers.segments.asr import SegmentAsr, SegmentOptions


class OpenAITranscription(OpenAIServer, SegmentAsr):
    """Answers with one ``Final`` for each end of utterance, and with ``Partial`` transcripts if `every` is not 0."""

    kind = "asr"
    tells_tokens: ClassVar[Mapping[str, object]] = {}  # if the server bills tokens

    class Options(SpeechOptions, SegmentOptions):
        every: opt.Duration = opt.us("0ms")
        """Time between two partial transcripts; 0ms for none. Each costs a request with the whole utterance so far."""
        longest: opt.Duration = opt.us("30s")
        """The longest audio that is sent at a time. Longer speech is sent in several parts."""
        eager: bool = True
        """Whether the utterance is sent after 240 ms of quiet and not at its end. It saves that time, and costs a
        request for each longer pause."""
        language: str | None = Field(default=None, pattern="^[a-z]{2,3}$")
        """The language spoken, as an ISO 639-1 code such as `en`. By default the model detects it."""
        prompt: str = ""
        """Text that tells the model names and spellings to expect."""

    options: Options

    @classmethod
    def languages(cls, options: Any) -> tuple[str, ...]:
        """The one that the file names. Otherwise the model detects it."""
        return (options.language,) if options.language else ()

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.eager = self.options.eager
        self._used = Usage()
        """What this call has used."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        self._emit, self._used = emit, Usage()
        with self.named():
            await super().call(request, fed, emit)

    async def decode(self, pcm: bytes) -> str:
        file = ("speech.wav", _wav(pcm, self.around.input_rate_hz))
        answer = await self.client.upload("/audio/transcriptions", self._fields(), file, self.connect_s)
        said = answer if isinstance(answer, dict) else {}
        sent_us = len(pcm) // 2 * US_PER_S // self.around.input_rate_hz
        self._used = self._used + used_of(said.get("usage"), sent_us)
        await self._emit(self._used)
        text = said.get("text")
        if not isinstance(text, str):
            raise schema("a transcription without a text")
        return " ".join(text.split())

    def _fields(self) -> dict[str, Any]:
        options = self.options
        fields: dict[str, Any] = {"model": options.model, "response_format": "json"}
        if options.language is not None:
            fields["language"] = options.language
        if options.prompt:
            fields["prompt"] = options.prompt
        return fields | options.extra


def _wav(pcm: bytes, rate_hz: int) -> bytes:
    """A WAV file of s16le mono samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(pcm)
    return file.getvalue()
