"""Emulates Cartesia's TTS websocket: contexts, continuations, flushes, word times, and the expiry of contexts.

The audio is a soft tone, in proportion to the length of the text. So a test can see which words of a reply were spoken,
and that none was spoken twice. https://docs.cartesia.ai/use-the-api/tts-websocket/contexts
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any

import trio

from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.server import Seen
from flowkit.testing.emulators.sockets import SocketEmulator, Talk

_WORD = re.compile(r"\S+")
PIECE_MS = 50


@dataclass(slots=True)
class EmulatedContext:
    """One context. `flush` is the number of the current flush, `samples` is its audio so far, and `at_s` is when its
    last audio was sent."""

    id: str
    request: dict[str, Any]
    flush: int = 1
    samples: int = 0
    at_s: float | None = None
    cancelled: bool = False
    texts: list[str] = field(default_factory=list)


class CartesiaEmulator(SocketEmulator):
    """An emulator of Cartesia's TTS.

    Args:
        ms_per_char: length of the audio for one character, in milliseconds.
        piece_s: how long the synthesis of a piece of audio takes, in seconds.
        expires_s: how long after its last audio a context expires, in seconds.
        idle_s: how long a connection may be idle before it is closed, in seconds. None: for ever.
        more: the arguments of ``Emulator``.
    """

    name = "cartesia"

    def __init__(
        self,
        *,
        ms_per_char: int = 20,
        piece_s: float = 0.0,
        expires_s: float = 1.0,
        idle_s: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.ms_per_char = ms_per_char
        self.piece_s = piece_s
        self.expires_s = expires_s
        self.idle_s = idle_s
        self.spoken: dict[str, str] = {}
        """The text that each context received, by context id."""

    async def session(self, talk: Talk) -> None:
        contexts: dict[str, EmulatedContext] = {}
        while True:
            with trio.move_on_after(float("inf") if self.idle_s is None else self.idle_s) as waiting:
                message = await talk.hear()
            if waiting.cancelled_caught:
                await talk.close(1000, "idle")
                return
            await self._take(talk, contexts, message)

    async def _take(self, talk: Talk, contexts: dict[str, EmulatedContext], message: Any) -> None:
        if not isinstance(message, dict) or "context_id" not in message:
            await talk.say(_error(None, 400, "Invalid request", "context_id is required"))
            return
        id_ = message["context_id"]
        if message.get("cancel"):
            if (context := contexts.pop(id_, None)) is not None:
                await self._cancel(talk, context)
            return
        # Chosen once for each context: a fault of the first two requests would be used up by two clauses.
        talk.fault = self._fault(talk.seen, message) if id_ not in contexts else talk.fault
        context = contexts.setdefault(id_, EmulatedContext(id_, message))
        if self._gone(context, talk.fault):
            del contexts[id_]
            await talk.say(_error(id_, 400, "Context expired", f"context {id_} has expired"))
            return
        if (problem := _problem(message)) is not None:
            await talk.say(_error(id_, *problem))
            return
        await self._speak(talk, context, message)
        if message.get("continue") is False:
            contexts.pop(id_, None)
            await talk.say({"type": "done", "context_id": id_, "done": True, "status_code": 200})

    def _fault(self, seen: Seen, message: dict[str, Any]) -> ServerFault:
        """The fault of a context. The model selects it for one context, the API key for the whole connection."""
        asked = (
            self.faults.choose(str(message.get("model_id", "")))
            if not seen.fault.value.startswith("http")
            else ServerFault.NONE
        )
        return asked if asked is not ServerFault.NONE else seen.fault

    def choose(self, seen: Seen) -> ServerFault:
        # A plan has a fault for each context, and the handshake must not take one.
        return self.faults.choose(self.key(seen)) if not self.faults.plan else ServerFault.NONE

    def _gone(self, context: EmulatedContext, fault: ServerFault) -> bool:
        if fault is ServerFault.CONTEXT_EXPIRY and context.flush > 1 and not context.cancelled:
            return True
        return context.at_s is not None and trio.current_time() - context.at_s > self.expires_s

    async def _speak(self, talk: Talk, context: EmulatedContext, message: dict[str, Any]) -> None:
        text = message["transcript"]
        self.spoken[context.id] = self.spoken.get(context.id, "") + text
        if text.strip():
            await self._sound(talk, context, text)
        if message.get("flush"):
            done = {"type": "flush_done", "context_id": context.id, "flush_id": context.flush, "flush_done": True}
            await talk.say(done | {"done": False, "status_code": 206})
            context.flush += 1

    async def _sound(self, talk: Talk, context: EmulatedContext, text: str) -> None:
        """Send the times of the words, and then the audio, piece by piece."""
        rate = context.request["output_format"]["sample_rate"]
        per_char = rate * self.ms_per_char // 1000
        if talk.fault is not ServerFault.MISSING_FIELD:
            await talk.meet(error=lambda: _error(context.id, 500, "Internal error", "the model failed"), first=True)
        if context.request.get("add_timestamps"):
            await talk.say(self._times(context, text, rate, per_char))
        samples, piece = len(text) * per_char, rate * PIECE_MS // 1000
        places = list(range(0, samples, piece))
        for place in places:
            if place == places[len(places) // 2]:
                await self._middle(talk, context)
            count = min(piece, samples - place)
            await talk.say(self._chunk(talk, context, count))
            if talk.fault in (ServerFault.DUPLICATE, ServerFault.LATE) and place == 0:
                await talk.say(self._chunk(talk, context, count) | {"context_id": "earlier"})
            context.samples += count
            context.at_s = trio.current_time()
            if self.piece_s:
                await trio.sleep(self.piece_s)

    async def _middle(self, talk: Talk, context: EmulatedContext) -> None:
        if talk.fault is ServerFault.MISSING_FIELD:
            await talk.say({"type": "chunk", "context_id": context.id, "done": False})
        if talk.fault is ServerFault.WRONG_SCHEMA:
            await talk.say({"type": "chunk", "context_id": context.id, "data": 7})
            return
        if talk.fault is ServerFault.UNKNOWN_TYPE:
            await talk.say({"type": "novelty", "context_id": context.id})
            return
        await talk.meet(error=lambda: _error(context.id, 500, "Internal error", "the model failed"), first=False)

    def _times(self, context: EmulatedContext, text: str, rate: int, per_char: int) -> dict[str, Any]:
        words = list(_WORD.finditer(text))
        base = context.samples
        times = {
            "words": [word[0] for word in words],
            "start": [(base + word.start() * per_char) / rate for word in words],
            "end": [(base + word.end() * per_char) / rate for word in words],
        }
        return self._numbered(context, {"type": "timestamps", "word_timestamps": times, "status_code": 206})

    def _chunk(self, talk: Talk, context: EmulatedContext, samples: int) -> dict[str, Any]:
        pcm = (b"\x00\x08\x00\xf8" * samples)[: 2 * samples]
        if talk.fault is ServerFault.ODD_PCM:
            # Every second piece starts with the byte that is missing in the previous one.
            pcm = pcm[:-1] if context.samples // samples % 2 == 0 else pcm[-1:] + pcm
        data = base64.b64encode(pcm).decode()
        chunk = {"type": "chunk", "data": data, "step_time": 12.5, "status_code": 206}
        numbered = self._numbered(context, chunk)
        if talk.fault is ServerFault.NO_FLUSH_ID:
            numbered.pop("flush_id")
        return numbered

    def _numbered(self, context: EmulatedContext, message: dict[str, Any]) -> dict[str, Any]:
        return message | {"context_id": context.id, "flush_id": context.flush, "done": False}

    async def _cancel(self, talk: Talk, context: EmulatedContext) -> None:
        """Cancel a context. With the fault PLAYS_OUT, more audio is sent afterwards."""
        context.cancelled = True
        if talk.fault is ServerFault.PLAYS_OUT:
            for _ in range(5):
                await talk.say(self._chunk(talk, context, 400))
        await talk.say({"type": "done", "context_id": context.id, "done": True, "status_code": 200})


def _problem(message: dict[str, Any]) -> tuple[int, str, str] | None:
    if str(message.get("model_id", "")).startswith("no-such"):
        return 404, "Model not found", f"there is no model {message['model_id']}"
    if not isinstance(message.get("voice"), dict) or not isinstance(message.get("transcript"), str):
        return 400, "Invalid request", "voice and transcript are required"
    return None


def _error(context: str | None, status: int, title: str, text: str) -> dict[str, Any]:
    error = {
        "type": "error",
        "status_code": status,
        "title": title,
        "message": text,
        "done": True,
        "error_code": "emulated",
    }
    return error | ({"context_id": context} if context is not None else {})
