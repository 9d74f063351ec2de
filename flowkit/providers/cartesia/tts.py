"""Cartesia's voices, streamed over its websocket: one connection a session, one context a reply.

A reply's clauses continue one another in their context, so that the voice carries on in one breath. A context that has
expired, or a connection that was closed while idle, is replaced without the listener noticing where that can be done.

    {kind: tts, provider: cartesia, voice: "6ccbfb76-1fc6-48f7-b71d-91ac6298247b", api_key: "${CARTESIA_API_KEY}"}
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import Message, Narrate
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cartesia.context import Narrator
from flowkit.providers.cloud.faults import CloudError, lone_fault, schema
from flowkit.providers.cloud.keys import cleaned, key_of
from flowkit.providers.cloud.line import CONNECT_S, Address, Line, dial
from flowkit.providers.cloud.text import json_object
from flowkit.providers.loading import imported
from flowkit.providers.plain import plain, without_tags

_VERSION = "2026-08-14"
_WAITING = 64
"""Messages of a context that may wait for the stage; behind them the connection is not read."""

Inbox = trio.MemorySendChannel[dict[str, Any] | CloudError]


class Cartesia(Provider):
    """Answers each clause with its audio, the times of its words, and its end."""

    kind = "tts"
    name = "cartesia"
    requires = ("websockets",)
    install = "pip install 'flowkit-voice[cloud]'"
    remote = True
    variable = "CARTESIA_API_KEY"
    continuous = True

    class Options(opt.Options):
        voice: str = Field(min_length=1)
        """The voice's id."""
        api_key: opt.Secret | None = None
        """The key; default: the environment's CARTESIA_API_KEY."""
        base_url: str = Field(default="wss://api.cartesia.ai", pattern="^wss?://[^ ]+$")
        """Where the service is; another for a proxy, or for `flowkit emulate cartesia`."""
        model: str = "sonic-3"
        """`model_id`, as Cartesia names it."""
        language: str = "en"
        """The language that is spoken."""
        rate: int = Field(default=24_000, ge=8_000, le=48_000)
        """Sample rate in Hz."""
        markup: bool = False
        """Whether tags (`<break time="1s"/>`) and `[laughter]` in a text are Cartesia's own markup; else their words are said.
        The chunker hands tags on with `speak: {tag: verbatim}`."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises CloudError without a key."""
        key_of(f"tts {cls.name}", options.api_key, cls.variable)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[opt.Secret]:
        """The key, and the library. A connection is a session's: one that holds its sound back would hold up all others on it.
        Raises CloudError without a key."""
        key = key_of(f"tts {cls.name}", options.api_key, cls.variable)
        await imported("websockets.trio.client")
        yield key

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.title = f"tts {self.name}"
        self.key: opt.Secret = model
        self.late = 0
        """Messages that came for contexts which nobody listens to any more, since the last reply began."""
        self._nursery: trio.Nursery | None = None
        self._line: Line | None = None
        self._dialling = trio.Lock()
        self._contexts: dict[str, Inbox] = {}
        self._made = 0

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Connect in the background."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._warm)
            try:
                yield
            finally:
                if self._line is not None:
                    self._line.hang_up()
                self._nursery.cancel_scope.cancel()

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Narrate):
            raise ProviderError(f"{self.title}: cannot answer {type(request).__name__}")
        if self.late:
            self.tell("late", f"{self.late} messages of a cancelled reply were discarded")
            self.late = 0
        narrator = Narrator(self, emit)
        try:
            with lone_fault():
                await narrator.run(fed)
        except CloudError as error:
            raise cleaned(error, self.title, self.key) from error.__cause__
        finally:
            narrator.leave()

    async def probe(self) -> str:
        """Connect: says whether the key works. Raises ProviderError. Usable inside ``ready()`` only."""
        try:
            await self.line()
        except CloudError as error:
            raise cleaned(error, self.title, self.key) from error.__cause__
        return f"the key works, voice {self.options.voice}"

    # -- what a narrator needs --------------------------------------------------------------------------------------

    def tell(self, name: str, detail: str) -> None:
        """Something for the trace."""
        self.around.event(self.around.now_us(), name, f"{self.title}: {detail}")

    async def line(self) -> Line:
        """The open connection; a new one if there is none. Raises CloudError."""
        async with self._dialling:
            if self._line is None or not self._line.open:
                assert self._nursery is not None, "call() comes after ready()"
                self._line = await dial(self._nursery, self._address(), self._read)
            return self._line

    def open_context(self) -> tuple[str, trio.MemoryReceiveChannel[dict[str, Any] | CloudError]]:
        """A new context's id, and the channel on which its messages come."""
        self._made += 1
        id_ = f"flowkit-{self._made}"
        send, receive = trio.open_memory_channel[dict[str, Any] | CloudError](_WAITING)
        self._contexts[id_] = send
        return id_, receive

    def close_context(self, id_: str, *, cancel: bool) -> None:
        """Listen to the context no more; with `cancel` the server is told, in the background. It may go on sending."""
        self._contexts.pop(id_, None)
        if cancel and self._line is not None and self._line.open and self._nursery is not None:
            self._nursery.start_soon(self._cancel, self._line, id_)

    def said(self, text: str) -> str:
        """A clause's text as it is sent."""
        return plain(text) if self.options.markup else without_markup(plain(text))

    def request(self, context: str, transcript: str, *, goes_on: bool, flush: bool = False) -> str:
        """A generation request as JSON. Texts of one context are joined as they are, spaces included."""
        options = self.options
        body = {
            "context_id": context,
            "model_id": options.model,
            "transcript": transcript,
            "voice": {"mode": "id", "id": options.voice},
            "language": options.language,
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": options.rate},
            "continue": goes_on,
            "add_timestamps": True,
            # The chunker has decided already; the service's default would hold text back for up to 3 s.
            "max_buffer_delay_ms": 0,
        }
        return json.dumps(body | ({"flush": True} if flush else {}))

    # -- the connection ---------------------------------------------------------------------------------------------

    def _address(self) -> Address:
        connect_us = self.around.connect_us
        headers = {"Authorization": f"Bearer {self.key.get_secret_value()}", "cartesia-version": _VERSION}
        connect_s = CONNECT_S if connect_us is None else connect_us / US_PER_S
        return Address(f"{self.options.base_url.rstrip('/')}/tts/websocket", headers, connect_s)

    async def _warm(self) -> None:
        try:
            await self.line()
        except CloudError as exc:
            # The next call will meet the same and say it; the trace may know beforehand.
            self.tell("spare", f"no connection yet: {exc.trouble}")

    async def _cancel(self, line: Line, id_: str) -> None:
        try:
            await line.send(json.dumps({"context_id": id_, "cancel": True}))
        except CloudError:
            pass  # a connection that is gone generates nothing more

    async def _read(self, line: Line) -> None:
        """Hand each message to its context until the connection ends; then say so to all of them."""
        try:
            while True:
                await self._dispatch(json_object(await line.receive()))
        except CloudError as exc:
            idle = not self._contexts
            for inbox in list(self._contexts.values()):
                await _put(inbox, exc)
        if idle and line.open and self._nursery is not None and not self._nursery.cancel_scope.cancel_called:
            # Closed while nobody spoke: the next reply finds a new one.
            self._nursery.start_soon(self._warm)

    async def _dispatch(self, message: dict[str, Any]) -> None:
        id_ = message.get("context_id")
        if id_ is None:
            if message.get("type") == "error":
                for inbox in list(self._contexts.values()):
                    await _put(inbox, message)
                return
            raise schema("a message without a context_id")
        listens = str(id_) in self._contexts and await _put(self._contexts[str(id_)], message)
        if not listens:
            self.late += message.get("type") in ("chunk", "timestamps")


def without_markup(text: str) -> str:
    """The text without Cartesia's tags, its `[laughter]` and its `<<phonemes>>`; what is in them is said."""
    return without_tags(text.replace("<<", " ").replace(">>", " ")).translate(_BRACKETS)


_BRACKETS = str.maketrans("[]", "()")


async def _put(inbox: Inbox, item: dict[str, Any] | CloudError) -> bool:
    """False if nobody listens any more."""
    try:
        await inbox.send(item)
    except trio.BrokenResourceError:
        return False
    return True
