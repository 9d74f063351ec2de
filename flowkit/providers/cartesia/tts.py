"""Cartesia's streaming TTS over its websocket: one connection per session, one context per reply.

The clauses of a reply share a context, so that the prosody continues from one to the next. An expired context, or a
connection that was closed while idle, is replaced. https://docs.cartesia.ai/use-the-api/tts-websocket/contexts

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
from flowkit.plural import counted
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
"""Messages of a context that may wait for the stage. While so many wait, the connection is not read."""

Inbox = trio.MemorySendChannel[dict[str, Any] | CloudError]


class Cartesia(Provider):
    """Answers each clause of a ``Narrate`` call with its ``Audio``, ``WordTimes`` and ``ClauseEnded``."""

    kind = "tts"
    name = "cartesia"
    requires = ("websockets",)
    install = "pip install 'flowkit-voice[cloud]'"
    licences = (("websockets", "BSD-3-Clause"), ("Cartesia (service)", "the service's terms"))
    remote = True
    variable = "CARTESIA_API_KEY"
    continuous = True

    class Options(opt.Options):
        voice: str = Field(min_length=1)
        """The voice's id."""
        api_key: opt.Secret | None = None
        """The API key. Default: the environment variable CARTESIA_API_KEY."""
        base_url: str = Field(default="wss://api.cartesia.ai", pattern="^wss?://[^ ]+$")
        """Address of the service. Change it for a proxy or for `flowkit emulate cartesia`."""
        model: str = "sonic-3"
        """Cartesia's parameter `model_id`."""
        language: str = "en"
        """The language of the text, such as `en`."""
        rate: int = Field(default=24_000, ge=8_000, le=48_000)
        """Sample rate in Hz."""
        markup: bool = False
        """Whether tags (`<break time="1s"/>`) and `[laughter]` in a text are Cartesia's markup. Otherwise their words
        are spoken. The chunker keeps tags if its option is `speak: {tag: verbatim}`."""

    options: Options

    @classmethod
    def languages(cls, options: Any) -> tuple[str, ...]:
        """The one that is asked for."""
        return (options.language,)

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises CloudError without a key."""
        key_of(f"tts {cls.name}", options.api_key, cls.variable)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[opt.Secret]:
        """Find the API key and import the library. The model is the key. Raises CloudError without a key.

        Connections are not shared: a session that does not accept its audio would stop the others on the same
        connection.
        """
        key = key_of(f"tts {cls.name}", options.api_key, cls.variable)
        await imported("websockets.trio.client")
        yield key

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.title = f"tts {self.name}"
        self.key: opt.Secret = model
        self.late = 0
        """Audio and timestamps for closed contexts, counted since the last reply started."""
        self._nursery: trio.Nursery | None = None
        self._line: Line | None = None
        # The first reply may come while the connection is opened, and must not open another.
        self._dialling = trio.Lock()
        self._contexts: dict[str, Inbox] = {}
        self._made = 0

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open the connection in the background."""
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
            self.tell("late", f"{counted(self.late, 'message')} of a cancelled reply discarded")
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
        """Connect, to see whether the key works. Raises ProviderError."""
        try:
            await self.line()
        except CloudError as error:
            raise cleaned(error, self.title, self.key) from error.__cause__
        return f"the key works, voice {self.options.voice}"

    # -- for Narrator -----------------------------------------------------------------------------------------------

    def tell(self, name: str, detail: str) -> None:
        """Record an event in the trace."""
        self.around.event(self.around.now_us(), name, f"{self.title}: {detail}")

    async def line(self) -> Line:
        """The open connection. Opens one if there is none. Raises CloudError."""
        async with self._dialling:
            if self._line is None or not self._line.open:
                assert self._nursery is not None, "call() comes after ready()"
                self._line = await dial(self._nursery, self._address(), self._read)
            return self._line

    def open_context(self) -> tuple[str, trio.MemoryReceiveChannel[dict[str, Any] | CloudError]]:
        """Open a context. Returns its id and the channel that receives its messages."""
        self._made += 1
        id_ = f"flowkit-{self._made}"
        send, receive = trio.open_memory_channel[dict[str, Any] | CloudError](_WAITING)
        self._contexts[id_] = send
        return id_, receive

    def close_context(self, id_: str, *, cancel: bool) -> None:
        """Discard the context's messages from now on. With `cancel` the server is informed in the background. It may
        still send some."""
        self._contexts.pop(id_, None)
        if cancel and self._line is not None and self._line.open and self._nursery is not None:
            self._nursery.start_soon(self._cancel, self._line, id_)

    def said(self, text: str) -> str:
        """The text to send for a clause: without control characters, and without markup unless `markup` allows it."""
        return plain(text) if self.options.markup else without_markup(plain(text))

    def request(self, context: str, transcript: str, *, goes_on: bool, flush: bool = False) -> str:
        """A generation request as JSON. The service joins the texts of a context as they are, so they need their
        spaces.

        `goes_on`: more text follows in this context. `flush`: generate the audio of all text so far.
        """
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
            # The chunker has decided what to speak. By default the service would wait up to 3 s for more text.
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
            # Only recorded: the next call raises the same error.
            self.tell("spare", f"no connection yet: {exc.trouble}")

    async def _cancel(self, line: Line, id_: str) -> None:
        try:
            await line.send(json.dumps({"context_id": id_, "cancel": True}))
        except CloudError:
            pass  # a closed connection generates no more audio

    async def _read(self, line: Line) -> None:
        """Pass each message to its context until the connection ends. Then pass the error to all open contexts."""
        try:
            while True:
                await self._dispatch(json_object(await line.receive()))
        except CloudError as exc:
            idle = not self._contexts
            for inbox in list(self._contexts.values()):
                await _put(inbox, exc)
        if idle and line.open and self._nursery is not None and not self._nursery.cancel_scope.cancel_called:
            # The connection was closed while idle. Open another one for the next reply.
            self._nursery.start_soon(self._warm)

    async def _dispatch(self, message: dict[str, Any]) -> None:
        id_ = message.get("context_id")
        if id_ is None:
            # It names no context, so it may concern any of them.
            if message.get("type") == "error":
                for inbox in list(self._contexts.values()):
                    await _put(inbox, message)
                return
            raise schema("a message without a context_id")
        taken = str(id_) in self._contexts and await _put(self._contexts[str(id_)], message)
        if not taken:
            self.late += message.get("type") in ("chunk", "timestamps")


def without_markup(text: str) -> str:
    """The text without Cartesia's markup: tags, `[laughter]` and `<<phonemes>>`. The words inside are spoken."""
    return without_tags(text.replace("<<", " ").replace(">>", " ")).translate(_BRACKETS)


_BRACKETS = str.maketrans("[]", "()")


async def _put(inbox: Inbox, item: dict[str, Any] | CloudError) -> bool:
    """Send `item` to a context. Returns False if the context is closed."""
    try:
        await inbox.send(item)
    except trio.BrokenResourceError:
        return False
    return True
