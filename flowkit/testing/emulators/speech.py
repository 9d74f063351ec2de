"""Emulates OpenAI's API of speech: transcriptions of files, and speech streamed as raw samples or as a WAV file.

The audio is a soft tone, in proportion to the length of the text.
https://platform.openai.com/docs/api-reference/audio
"""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import wave
from collections.abc import Iterable
from typing import Any

import trio

from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.http import JSON, HttpConnection, HttpEmulator, refusal
from flowkit.testing.emulators.server import Seen, reset, until_gone

RATE_HZ = 24_000
TOKENS_A_S = 20
"""How many tokens a second of speech is billed as."""
_PIECE_MS = 50
_TONE_HZ = 220
_UNKNOWN_SIZE = 0xFFFFFFFF


class SpeechEmulator(HttpEmulator):
    """An emulator of OpenAI's `/v1/audio/speech` and `/v1/audio/transcriptions`.

    Args:
        turns: what is transcribed, one text for each file; the last one again and again.
        ms_per_char: length of the audio for one character, in milliseconds.
        wav: answer with WAV files only, as some servers do.
        by_tokens: tell how many tokens a transcription has used, as models do that are billed so.
        piece_s: how long the synthesis of a piece of audio takes, in seconds.
        more: the arguments of ``Emulator``.
    """

    name = "speech"
    models = ("whisper-1", "tts-1")

    def __init__(
        self,
        *,
        turns: Iterable[str] = ("What can you do?",),
        ms_per_char: int = 20,
        wav: bool = False,
        by_tokens: bool = False,
        piece_s: float = 0.0,
        owned_by: str = "openai-internal",
        **more: Any,
    ) -> None:
        super().__init__(owned_by=owned_by, **more)
        self.turns = list(turns)
        self.ms_per_char = ms_per_char
        self.wav = wav
        self.by_tokens = by_tokens
        self.piece_s = piece_s
        self.files: list[int] = []
        """The length of each file that was transcribed, in samples."""
        self.spoken: list[str] = []
        """Each text that was spoken."""

    def serves(self, seen: Seen) -> bool:
        return seen.path.endswith(("/audio/speech", "/audio/transcriptions"))

    def problem(self, seen: Seen) -> tuple[bytes, list[tuple[str, str]]] | None:
        asked, needed = seen.body, ("input", "voice") if seen.path.endswith("speech") else ("file",)
        missing = [name for name in ("model", *needed) if not asked.get(name)]
        if missing:
            return refusal(400, str(asked.get("model")), f"you must provide a {missing[0]} parameter")
        return None

    async def respond(self, http: HttpConnection, fault: ServerFault, seen: Seen) -> bool:
        if fault in (ServerFault.SLOW_ACCEPT, ServerFault.SLOW_FIRST):
            await trio.sleep(self.pause_s)
        if seen.path.endswith("/audio/speech"):
            return await self._speak(http, fault, seen.body)
        return await self._transcribe(http, fault, seen.body)

    async def _transcribe(self, http: HttpConnection, fault: ServerFault, asked: dict[str, Any]) -> bool:
        with wave.open(io.BytesIO(asked["file"])) as file:
            self.files.append(file.getnframes())
        text = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        answer: object = {"text": "" if fault is ServerFault.EMPTY else text, **self._usage(self.files[-1], text)}
        match fault:
            case ServerFault.STALL | ServerFault.STALL_FIRST:
                await until_gone(http.stream)
                return False
            case ServerFault.FIN | ServerFault.RST:
                return await self._break_off(http, fault)
            case ServerFault.BAD_JSON:
                return await http.whole(200, b'{"text": "Wh', JSON)
            case ServerFault.WRONG_SCHEMA:
                answer = [text]
            case ServerFault.MISSING_FIELD:
                answer = {"task": "transcribe"}
            case ServerFault.EXTRA_FIELD:
                answer = {"text": text, "usage": {"type": "duration", "seconds": 1}}
        return await http.whole(200, json.dumps(answer).encode(), JSON)

    def _usage(self, samples: int, text: str) -> dict[str, Any]:
        """The usage of a transcription that is billed by tokens."""
        if not self.by_tokens:
            return {}
        heard, made = samples * 10 // 16_000, len(text.split())
        details = {"audio_tokens": heard, "text_tokens": 0}
        used = {"input_tokens": heard, "input_token_details": details, "output_tokens": made}
        return {"usage": {"type": "tokens", **used, "total_tokens": heard + made}}

    async def _speak(self, http: HttpConnection, fault: ServerFault, asked: dict[str, Any]) -> bool:
        self.spoken.append(asked["input"])
        samples = 0 if fault is ServerFault.EMPTY else RATE_HZ * self.ms_per_char * len(asked["input"]) // 1000
        wav = self.wav or asked.get("response_format") == "wav"
        if asked.get("stream_format") == "sse":
            return await self._speak_in_events(http, fault, tone(samples))
        await http.begin(200, [("content-type", "audio/wav" if wav else "audio/pcm"), ("transfer-encoding", "chunked")])
        if fault is ServerFault.STALL_FIRST:
            await until_gone(http.stream)
            return False
        pcm = (header() if wav else b"") + tone(samples)
        # A server cuts where it likes, within a sample too.
        size = 2 * RATE_HZ * _PIECE_MS // 1000 - (fault is ServerFault.ODD_PCM)
        for place in range(0, len(pcm), size):
            if place > len(pcm) // 2 and fault in (ServerFault.STALL, ServerFault.FIN, ServerFault.RST):
                return await self._break_off(http, fault)
            await http.data(pcm[place : place + size])
            await trio.sleep(self.piece_s)
        return await http.end()

    async def _speak_in_events(self, http: HttpConnection, fault: ServerFault, pcm: bytes) -> bool:
        await http.begin(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        size = 2 * RATE_HZ * _PIECE_MS // 1000 - (fault is ServerFault.ODD_PCM)
        for place in range(0, len(pcm), size):
            if place > len(pcm) // 2 and fault in (ServerFault.STALL, ServerFault.FIN, ServerFault.RST):
                return await self._break_off(http, fault)
            piece = base64.b64encode(pcm[place : place + size]).decode()
            await http.data(_event({"type": "speech.audio.delta", "audio": piece}))
            await trio.sleep(self.piece_s)
        made = len(pcm) // 2 * TOKENS_A_S // RATE_HZ
        used = {"input_tokens": 9, "output_tokens": made, "total_tokens": 9 + made}
        if fault is not ServerFault.MISSING_FIELD:
            await http.data(_event({"type": "speech.audio.done", "usage": used}))
        return await http.end()

    async def _break_off(self, http: HttpConnection, fault: ServerFault) -> bool:
        if fault is ServerFault.STALL:
            await until_gone(http.stream)
        elif fault is ServerFault.RST:
            reset(http.stream)
        return False


def _event(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def tone(samples: int) -> bytes:
    """`samples` samples of a soft tone, s16le."""
    return struct.pack(
        f"<{samples}h", *(round(2_000 * math.sin(math.tau * _TONE_HZ * i / RATE_HZ)) for i in range(samples))
    )


def header() -> bytes:
    """The header of a WAV file whose length is not known."""
    form = struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    # A chunk between the two that a reader must skip, as ffmpeg writes it.
    listed = b"LIST" + struct.pack("<I", 4) + b"INFO"
    size = struct.pack("<I", _UNKNOWN_SIZE)
    return b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + form + listed + b"data" + size
