"""One reply spoken by Cartesia: clauses into a context, its messages into audio, word times and ends.

Each clause is followed by a flush, whose number comes back with the audio, so that sound belongs to its clause to the sample.
A context expires a second after its last audio; what it left unsaid is then sent again, into a new one.
https://docs.cartesia.ai/use-the-api/tts-websocket/contexts
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from flowkit.messages import Audio, ClauseEnded, Message, Speak, WordTimes
from flowkit.providers.base import Emit
from flowkit.providers.cloud.faults import CloudError, Trouble, of_status, schema
from flowkit.words import has_words

if TYPE_CHECKING:
    from flowkit.providers.cartesia.tts import Cartesia

AHEAD = 8
"""Clauses that may be with the service at a time: it should never wait for text, and what it has not spoken must be sent again
when a context is lost."""
EXPIRES_US = 900_000
"""A context is not continued this long after its last audio; the service forgets it after 1 s."""
_HEALS = 3
"""Contexts that one reply may lose; after that something else is wrong."""
_EXPIRED = ("expire", "not found", "does not exist", "already closed", "context closed")


@dataclass(slots=True)
class Sounding:
    """A clause that is with the service. `samples` so far; `words` with the sample at which each ends."""

    index: int
    text: str
    samples: int = 0
    words: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Context:
    """A context of the service: `sent` clauses, `samples` of audio in all, `heard_us`: when the last of it came."""

    id: str
    inbox: trio.MemoryReceiveChannel[dict[str, Any] | CloudError]
    sent: int = 0
    ended: int = 0
    samples: int = 0
    heard_us: int | None = None
    odd: bytes = b""


class Narrator:
    """Speaks one reply: `_talk` sends clauses as they are fed, `_hear` turns what comes into messages."""

    def __init__(self, voice: Cartesia, emit: Emit) -> None:
        self._voice = voice
        self._emit = emit
        self._clauses: deque[Sounding] = deque()
        self._context: Context | None = None
        self._news = trio.Event()
        self._heals = 0
        self._sending = trio.Lock()

    async def run(self, fed: AsyncIterator[Message]) -> None:
        """Speak all that is fed; returns when it has sounded."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear)
            async for item in fed:
                if isinstance(item, Speak):
                    await self._say(item)
            if self._context is not None:
                await self._send("", goes_on=False)
            await self._until(0)
            nursery.cancel_scope.cancel()

    def leave(self) -> None:
        """The reply is over, spoken or not. Never waits."""
        if self._context is not None:
            self._context.inbox.close()
            self._voice.close_context(self._context.id, cancel=bool(self._clauses))
            self._context = None

    # -- towards the service ----------------------------------------------------------------------------------------

    async def _say(self, speak: Speak) -> None:
        await self._until(AHEAD - 1)
        clause = Sounding(speak.clause, self._voice.said(speak.text))
        if not clause.text.strip():
            await self._until(0)
            await self._emit(ClauseEnded(clause.index, 0))
            return
        if self._context is not None and self._expired(self._context):
            self._voice.tell("context", "expired while the reply paused; the next clause begins a new one")
            self._drop()
        async with self._sending:
            self._clauses.append(clause)
            await self._transcribe(clause)

    async def _transcribe(self, clause: Sounding) -> None:
        """The clause's text into the context, and a flush behind it."""
        if self._context is None:
            line = await self._voice.line()
            assert line.open
            self._context = Context(*self._voice.open_context())
            self._note()
        space = " " if self._context.sent else ""
        self._context.sent += 1
        await self._send(space + clause.text, goes_on=True)
        await self._send("", goes_on=True, flush=True)

    async def _send(self, transcript: str, *, goes_on: bool, flush: bool = False) -> None:
        if self._context is not None:
            line = await self._voice.line()
            await line.send(self._voice.request(self._context.id, transcript, goes_on=goes_on, flush=flush))

    def _expired(self, context: Context) -> bool:
        quiet = not self._clauses and context.heard_us is not None
        return quiet and self._voice.around.now_us() - (context.heard_us or 0) > EXPIRES_US

    def _drop(self) -> None:
        if self._context is not None:
            self._context.inbox.close()
            self._voice.close_context(self._context.id, cancel=False)
            self._context = None

    async def _until(self, left: int) -> None:
        """Until at most so many clauses are with the service."""
        while len(self._clauses) > left:
            await self._news.wait()

    def _note(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # -- from the service -------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        while True:
            context = self._context
            if context is None:
                await self._news.wait()
                continue
            try:
                message = await context.inbox.receive()
            except trio.ClosedResourceError:
                continue  # replaced by another
            if isinstance(message, CloudError):
                raise message
            await self._take(context, message)

    async def _take(self, context: Context, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "chunk":
                await self._chunk(context, message)
            case "timestamps":
                await self._timestamps(context, message)
            case "flush_done":
                await self._flushed(context, message)
            case "done":
                await self._done(context)
            case "error":
                await self._error(context, message)
            case "phoneme_timestamps":
                pass
            case kind:
                self._voice.tell("unknown", f"a message of unknown type {kind!r}")

    async def _chunk(self, context: Context, message: dict[str, Any]) -> None:
        data = message.get("data")
        if not isinstance(data, str):
            raise schema("a chunk without data")
        try:
            pcm = context.odd + base64.b64decode(data, validate=True)
        except binascii.Error as exc:
            raise schema(f"a chunk whose data is no base64: {exc}") from exc
        context.odd = pcm[len(pcm) & ~1 :]
        clause, samples = self._clause_of(context, message), len(pcm) // 2
        if clause is None or not samples:
            return
        audio = Audio(clause.index, clause.samples, samples, self._voice.options.rate, 0, pcm[: 2 * samples])
        clause.samples += samples
        context.samples += samples
        context.heard_us = self._voice.around.now_us()
        await self._emit(audio)

    def _clause_of(self, context: Context, message: dict[str, Any]) -> Sounding | None:
        """The clause whose flush the message bears; without a number, the one that is due. None if it has ended already."""
        flush = message.get("flush_id")
        place = flush - 1 - context.ended if isinstance(flush, int) else 0
        return self._clauses[place] if 0 <= place < len(self._clauses) else None

    async def _timestamps(self, context: Context, message: dict[str, Any]) -> None:
        times = message.get("word_timestamps")
        if not isinstance(times, dict):
            raise schema("timestamps without word_timestamps")
        words, starts, ends = (times.get(key) for key in ("words", "start", "end"))
        if not (isinstance(words, list) and isinstance(starts, list) and isinstance(ends, list)):
            raise schema("word_timestamps without words, start or end")
        clause = self._clause_of(context, message)
        if clause is None or not words:
            return
        rate = self._voice.options.rate
        before = context.samples - clause.samples
        # Times count from the context's beginning. Where a service counts from the clause's, its first word comes too early.
        base = before if before and starts[0] * rate >= before - rate // 10 else 0
        clause.words += [(str(word), round(end * rate) - base) for word, end in zip(words, ends, strict=False)]
        await self._emit(WordTimes(clause.index, tuple(clause.words)))

    async def _flushed(self, context: Context, message: dict[str, Any]) -> None:
        if self._clauses and self._clause_of(context, message) is self._clauses[0]:
            await self._end_first(context)

    async def _end_first(self, context: Context) -> None:
        clause = self._clauses[0]
        context.ended += 1
        if context.odd:
            self._voice.tell("odd_pcm", f"half a sample at the end of clause {clause.index} was dropped")
            context.odd = b""
        whole = bool(clause.samples) or not has_words(clause.text)  # words without sound were not said
        await self._emit(ClauseEnded(clause.index, clause.samples, whole))
        self._clauses.popleft()
        self._note()

    async def _done(self, context: Context) -> None:
        """The context is over. A clause of which something sounded is over with it; others were never begun."""
        if self._clauses and self._clauses[0].samples:
            await self._end_first(context)
        self._drop()
        if self._clauses:
            await self._heal("ended too early")

    async def _error(self, context: Context, message: dict[str, Any]) -> None:
        said = " ".join(str(message[key]) for key in ("title", "message") if message.get(key)) or str(
            message.get("error", "")
        )
        if any(word in said.casefold() for word in _EXPIRED) and "context" in said.casefold():
            if self._clauses and self._clauses[0].samples:
                await self._end_first(context)
            self._drop()
            await self._heal("expired")
            return
        status = message.get("status_code")
        raise of_status(status, said) if isinstance(status, int) else CloudError(Trouble.SERVER, said)

    async def _heal(self, why: str) -> None:
        """Send what was not spoken into a new context."""
        self._heals += 1
        if self._heals > _HEALS:
            raise CloudError(Trouble.SERVER, f"the context {why}, for the {self._heals}th time in one reply")
        self._voice.tell("context", f"{why}; {len(self._clauses)} clauses are sent into a new one")
        async with self._sending:
            self._drop()
            for clause in list(self._clauses):
                await self._transcribe(clause)
