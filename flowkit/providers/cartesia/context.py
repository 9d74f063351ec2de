"""Speaks one reply through a Cartesia context: sends its clauses, and turns the messages into audio, word times and
clause ends.

After each clause a flush is sent. The audio comes back with the number of its flush, so each sample is assigned to its
clause. A context expires one second after its last audio. Clauses that it has not spoken are then sent again in a new
context. https://docs.cartesia.ai/use-the-api/tts-websocket/contexts
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from flowkit.messages import Audio, ClauseEnded, Message, Speak, Usage, WordTimes
from flowkit.plural import counted
from flowkit.providers.base import Emit
from flowkit.providers.cloud.faults import CloudError, Trouble, of_status, schema
from flowkit.words import has_words

if TYPE_CHECKING:
    from flowkit.providers.cartesia.tts import Cartesia

AHEAD = 8
"""How many unspoken clauses may be at the service: enough that it never waits for text, and few to send again if a
context is lost."""
EXPIRES_US = 900_000
"""A context is not continued this long after its last audio. The service drops it after 1 s."""
_MOST_LOST = 3
"""How many contexts one reply may lose before the call fails."""
_EXPIRED = ("expire", "not found", "does not exist", "already closed", "context closed")


@dataclass(slots=True)
class Sounding:
    """A clause at the service: the `samples` emitted so far, and its `words`, each with the sample at which it ends."""

    index: int
    text: str
    samples: int = 0
    words: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Context:
    """A context of the service.

    `sent` and `ended` count its clauses, and `samples` its audio in all. `heard_us` is when the last audio came. `odd`
    is half a sample that waits for its other half.
    """

    id: str
    inbox: trio.MemoryReceiveChannel[dict[str, Any] | CloudError]
    sent: int = 0
    ended: int = 0
    samples: int = 0
    heard_us: int | None = None
    odd: bytes = b""


class Narrator:
    """Speaks one reply: `run` sends the clauses that the stage feeds, and `_hear` turns the service's messages into
    answers."""

    def __init__(self, voice: Cartesia, emit: Emit) -> None:
        self._voice = voice
        self._emit = emit
        self._clauses: deque[Sounding] = deque()
        self._context: Context | None = None
        self._changed = trio.Event()
        self._lost = 0
        self._characters = self._reported = 0
        """Sent in this reply, with those that were sent again; and how many of them were reported."""
        # A new clause must not get between those that are sent again: their order gives the flush numbers.
        self._sending = trio.Lock()

    async def run(self, fed: AsyncIterator[Message]) -> None:
        """Speak all clauses of `fed`. Returns when the audio of the last one has come."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear)
            async for item in fed:
                if isinstance(item, Speak):
                    await self._say(item)
            if self._context is not None:
                # Otherwise the context would stay open until it expires.
                await self._send("", goes_on=False)
            await self._until(0)
            nursery.cancel_scope.cancel()

    def leave(self) -> None:
        """Close the context, and cancel it if clauses are unspoken. Never waits."""
        if self._context is not None:
            self._context.inbox.close()
            self._voice.close_context(self._context.id, cancel=bool(self._clauses))
            self._context = None

    # -- to the service ---------------------------------------------------------------------------------------------

    async def _say(self, speak: Speak) -> None:
        await self._until(AHEAD - 1)
        clause = Sounding(speak.clause, self._voice.said(speak.text))
        if not clause.text.strip():
            # Clauses end in order, so an empty one waits for those before it.
            await self._until(0)
            await self._emit(ClauseEnded(clause.index, 0))
            return
        if self._context is not None and self._expired(self._context):
            self._voice.tell("context", "expired while the reply paused; the next clause opens a new one")
            self._drop()
        async with self._sending:
            self._clauses.append(clause)
            await self._transcribe(clause)

    async def _transcribe(self, clause: Sounding) -> None:
        """Send the clause's text and then a flush. Opens a context if there is none."""
        if self._context is None:
            line = await self._voice.line()
            assert line.open
            self._context = Context(*self._voice.open_context())
            self._notify()
        # The service joins the texts of a context as they are.
        space = " " if self._context.sent else ""
        self._context.sent += 1
        await self._send(space + clause.text, goes_on=True)
        await self._send("", goes_on=True, flush=True)
        self._characters += len(clause.text)

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
            # The service has ended it already, or is about to.
            self._voice.close_context(self._context.id, cancel=False)
            self._context = None

    async def _until(self, left: int) -> None:
        """Wait until at most `left` clauses are at the service."""
        while len(self._clauses) > left:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # -- from the service -------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        while True:
            context = self._context
            if context is None:
                await self._changed.wait()
                continue
            try:
                message = await context.inbox.receive()
            except trio.ClosedResourceError:
                continue  # another context has replaced it
            if isinstance(message, CloudError):
                raise message
            await self._report()
            await self._take(context, message)

    async def _report(self) -> None:
        """Report what was sent. From the task that emits everything else, because items are emitted one at a time."""
        if self._characters != self._reported:
            self._reported = self._characters
            await self._emit(Usage(characters=self._reported))

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
            raise schema(f"a chunk whose data is not base64: {exc}") from exc
        context.odd = pcm[len(pcm) & ~1 :]
        clause, samples = self._clause_of(context, message), len(pcm) // 2
        # Late audio of a clause that has ended.
        if clause is None or not samples:
            return
        audio = Audio(clause.index, clause.samples, samples, self._voice.options.rate, 0, pcm[: 2 * samples])
        clause.samples += samples
        context.samples += samples
        context.heard_us = self._voice.around.now_us()
        await self._emit(audio)

    def _clause_of(self, context: Context, message: dict[str, Any]) -> Sounding | None:
        """The clause that a message belongs to, by its flush number. Without a number it is the oldest one. None if it
        has ended."""
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
        # Times count from the start of the context. If a service counts from the start of the clause, the first word is too early.
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
        whole = bool(clause.samples) or not has_words(clause.text)  # words without audio were not spoken
        await self._emit(ClauseEnded(clause.index, clause.samples, whole))
        self._clauses.popleft()
        self._notify()

    async def _done(self, context: Context) -> None:
        """The service has ended the context. A clause with audio has ended too. Clauses without audio are sent
        again."""
        if self._clauses and self._clauses[0].samples:
            await self._end_first(context)
        self._drop()
        if self._clauses:
            await self._resend("ended too early")

    async def _error(self, context: Context, message: dict[str, Any]) -> None:
        said = " ".join(str(message[key]) for key in ("title", "message") if message.get(key)) or str(
            message.get("error", "")
        )
        # An expired context has the status of any bad request; only the text tells them apart.
        if any(word in said.casefold() for word in _EXPIRED) and "context" in said.casefold():
            if self._clauses and self._clauses[0].samples:
                await self._end_first(context)
            self._drop()
            await self._resend("expired")
            return
        status = message.get("status_code")
        raise of_status(status, said) if isinstance(status, int) else CloudError(Trouble.SERVER, said)

    async def _resend(self, why: str) -> None:
        """Send the unspoken clauses in a new context."""
        self._lost += 1
        if self._lost > _MOST_LOST:
            raise CloudError(Trouble.SERVER, f"the context {why}, for the {self._lost}th time in one reply")
        self._voice.tell("context", f"{why}; {counted(len(self._clauses), 'clause')} sent in a new one")
        async with self._sending:
            self._drop()
            for clause in list(self._clauses):
                await self._transcribe(clause)
