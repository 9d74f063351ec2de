"""AssemblyAI's streaming speech recognition (v3), over its wire protocol.

flowkit's own endpointing forces the end of a turn, which is the fastest way to a final transcript. A broken connection is
opened again by the runtime, which hands over again what was not yet transcribed (``runtime.handover``).

    {kind: asr, provider: assemblyai, api_key: "${ASSEMBLYAI_API_KEY}", keyterms: [Tegernsee, flowkit]}
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.clock import US_PER_MS, US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import EndOfUtterance, Frames, Message
from flowkit.providers.assemblyai.turns import Owed, Turn, Turns
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError, Trouble, lone_fault, of_close, schema
from flowkit.providers.cloud.keys import cleaned, key_of
from flowkit.providers.cloud.line import CONNECT_S, Address, Line, dial
from flowkit.providers.cloud.text import json_object
from flowkit.providers.loading import imported

_SHORTEST_US = 50_000
"""Shorter pieces of audio close the connection (3007), and so do those over a second."""
_VERSION = "2025-05-12"
_TERMINATE = json.dumps({"type": "Terminate"})
_FORCE = json.dumps({"type": "ForceEndpoint"})
_PASSED_OVER = frozenset({"Begin", "SpeechStarted", "Heartbeat", "Silence", "SpeakerRevision", "LLMGatewayResponse"})


class Ends(StrEnum):
    """Who says that an utterance has ended."""

    OWN = "own"
    """flowkit's endpointing; it forces the server's turn to end."""
    SERVER = "server"
    """The server, at its own turns' ends; for `gate: {release: asr_final}` without a VAD."""


class AssemblyAI(Provider):
    """Answers with Partial while the user speaks, and with one Final for each end of utterance."""

    kind = "asr"
    name = "assemblyai"
    requires = ("websockets",)
    install = "pip install 'flowkit-voice[cloud]'"
    remote = True
    variable = "ASSEMBLYAI_API_KEY"

    class Options(opt.Options):
        api_key: opt.Secret | None = None
        """The key; default: the environment's ASSEMBLYAI_API_KEY."""
        base_url: str = Field(default="wss://streaming.assemblyai.com", pattern="^wss?://[^ ]+$")
        """Where the service is: another for Europe (wss://streaming.eu.assemblyai.com), or for `flowkit emulate`."""
        model: str = "universal-streaming-english"
        """`speech_model`, as AssemblyAI names it."""
        keyterms: tuple[str, ...] = Field(default=(), max_length=100)
        """Names and rare words to listen for."""
        format: bool = False
        """Wait for punctuation and capitals; costs some 100 ms a turn. Some models always give them."""
        ends: Ends = Ends.OWN
        """`own`: flowkit's endpointing ends utterances; `server`: AssemblyAI does."""
        min_silence: opt.Duration | None = None
        """`min_turn_silence`: after which the server may end a turn that sounds complete."""
        max_silence: opt.Duration | None = None
        """`max_turn_silence`: after which the server ends any turn."""
        piece: opt.Duration = opt.us("60ms")
        """Audio in one message, 50ms to 1s."""
        final_within: opt.Duration = opt.us("1s")
        """After an end of utterance: how long the server may take; then what is known of the utterance has to do."""
        catch_up: float = Field(default=2.0, ge=1.0, le=10.0)
        """How much faster than life audio may be sent that has waited for a connection. The service closes connections that
        send much faster than life (3007)."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises CloudError without a key."""
        key_of(f"asr {cls.name}", options.api_key, cls.variable)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[opt.Secret]:
        """The key, and the library. Raises CloudError without a key."""
        key = key_of(f"asr {cls.name}", options.api_key, cls.variable)
        await imported("websockets.trio.client")
        yield key

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.title = f"asr {self.name}"
        self.key: opt.Secret = model
        self.nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """The connection is opened by the call. Raises ProviderError for a piece of audio that the service would not take."""
        if not _SHORTEST_US <= self.options.piece <= US_PER_S:
            raise ProviderError(f"{self.title}: piece must be 50ms to 1s")
        async with trio.open_nursery() as self.nursery:
            yield

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        line: Line | None = None
        try:
            line = await self._dial()
            with lone_fault():
                await _Session(self, line, emit).run(fed)
        except CloudError as error:
            raise cleaned(error, self.title, self.key) from error.__cause__
        finally:
            if line is not None:
                line.hang_up()

    async def probe(self) -> str:
        """Open a session and end it: says whether the key works. Raises ProviderError. Usable inside ``ready()`` only."""
        line: Line | None = None
        try:
            line = await self._dial()
            with trio.fail_after(CONNECT_S):
                begin = json_object(await line.receive())
            _raise_error(begin)
        except CloudError as error:
            raise cleaned(error, self.title, self.key) from error.__cause__
        except trio.TooSlowError as exc:
            raise ProviderError(f"{self.title}: connected, but no session began") from exc
        finally:
            if line is not None:
                line.hang_up()
        return f"the key works, model {self.options.model}"

    async def _dial(self) -> Line:
        assert self.nursery is not None, "call() comes after ready()"
        connect_us = self.around.connect_us
        headers = {"Authorization": self.key.get_secret_value(), "AssemblyAI-Version": _VERSION}
        connect_s = CONNECT_S if connect_us is None else connect_us / US_PER_S
        return await dial(self.nursery, Address(self.url(), headers, connect_s, (_TERMINATE,), _is_farewell))

    def url(self) -> str:
        """The address with the session's parameters; all of them are fixed when it begins."""
        options = self.options
        parameters: dict[str, str | int] = {
            "sample_rate": self.around.input_rate_hz,
            "encoding": "pcm_s16le",
            "speech_model": options.model,
            "format_turns": str(options.format),
        }
        if options.min_silence is not None:
            parameters["min_turn_silence"] = options.min_silence // US_PER_MS
        if options.max_silence is not None:
            parameters["max_turn_silence"] = options.max_silence // US_PER_MS
        if options.keyterms:
            parameters["keyterms_prompt"] = json.dumps(list(options.keyterms))
        return f"{options.base_url.rstrip('/')}/v3/ws?{urlencode(parameters)}"


class _Session:
    """One connection's life: `_talk` sends what is fed, `_listen` reads; utterances are put together in `Turns`."""

    def __init__(self, provider: AssemblyAI, line: Line, emit: Emit) -> None:
        self._provider = provider
        self._line = line
        self._emit = emit
        self._turns = Turns(provider.options.format, provider.options.ends is Ends.SERVER)
        self._audio = Outgoing(provider.around, provider.options)
        self._asked = trio.Event()
        self._given = trio.Event()
        self._giving = 0
        """Answers that are no longer owed, but whose handing over is still under way."""

    async def run(self, fed: AsyncIterator[Message]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._remind)
            await self._talk(fed)
            while self._turns.owed or self._giving:
                await self._given.wait()
            nursery.cancel_scope.cancel()

    async def _talk(self, fed: AsyncIterator[Message]) -> None:
        async for item in fed:
            if isinstance(item, Frames):
                await self._audio.send(self._line, item)
            elif isinstance(item, EndOfUtterance):
                await self._end(item)

    async def _end(self, end: EndOfUtterance) -> None:
        options, around = self._provider.options, self._provider.around
        await self._audio.flush(self._line)
        owed = Owed(end.utterance, self._audio.ms_of(end.last_voiced + 1), around.now_us() + options.final_within)
        await self._give(self._turns.ended(owed))
        if self._turns.owed:
            self._asked.set()
            await self._line.send(_FORCE)

    async def _listen(self) -> None:
        while True:
            message = json_object(await self._line.receive())
            _raise_error(message)
            kind = message.get("type")
            if kind == "Turn":
                await self._give(self._turns.heard(Turn.of(message)))
            elif kind == "Termination":
                raise of_close(1000, "the server terminated the session")
            elif kind == "Warning":
                self._tell("warning", str(message.get("warning", "")))
            elif kind not in _PASSED_OVER:
                self._tell("unknown", f"a message of unknown type {kind!r}")

    async def _remind(self) -> None:
        """Give up waiting for finals that do not come."""
        around = self._provider.around
        while True:
            await self._asked.wait()
            while self._turns.owed:
                await trio.sleep(max(0, self._turns.owed[0].give_up_us - around.now_us()) / US_PER_S)
                await self._give(self._turns.overdue(around.now_us()))
            self._asked = trio.Event()

    async def _give(self, items: list[Message]) -> None:
        if not items:
            return
        self._giving += 1
        for item in items:
            await self._emit(item)
        self._giving -= 1
        self._given.set()
        self._given = trio.Event()

    def _tell(self, name: str, detail: str) -> None:
        around = self._provider.around
        around.event(around.now_us(), name, f"{self._provider.title}: {detail}")


class Outgoing:
    """The audio on its way out: pieces of a lawful length, on a clock without gaps, not much faster than life."""

    def __init__(self, around: Surroundings, options: Any) -> None:
        self._frame_us = around.frame_us
        self._frame_bytes = 2 * around.input_rate_hz * around.frame_us // US_PER_S
        self._piece = self._bytes(options.piece)
        self._shortest = self._bytes(_SHORTEST_US)
        self._catch_up = options.catch_up
        self._first: int | None = None
        self._next = 0
        self._waiting = bytearray()
        self._free_at_s = 0.0

    def _bytes(self, us: int) -> int:
        """Of `us` of audio, in whole frames, rounded up."""
        return -(-us // self._frame_us) * self._frame_bytes

    def ms_of(self, frame: int) -> int:
        """The begin of input frame `frame` on the connection's audio clock."""
        return max(0, frame - (self._first or 0)) * self._frame_us // US_PER_MS

    async def send(self, line: Line, frames: Frames) -> None:
        """Add frames; what makes a piece goes out. Lost frames become silence, as the server counts time by what it gets."""
        if self._first is None:
            self._first = self._next = frames.index
        lost = max(0, frames.index - self._next)
        size = frames.count * self._frame_bytes
        self._waiting += bytes(min(lost, _LONGEST_GAP) * self._frame_bytes) + frames.pcm[:size].ljust(size, b"\0")
        self._first += max(0, lost - _LONGEST_GAP)
        self._next = frames.index + frames.count
        while len(self._waiting) >= self._piece:
            await self._out(line, self._piece)

    async def flush(self, line: Line) -> None:
        """Send what waits, if it is long enough to be sent; what is shorter is the last silence, and waits for more."""
        if len(self._waiting) >= self._shortest:
            await self._out(line, len(self._waiting))

    async def _out(self, line: Line, size: int) -> None:
        await trio.sleep_until(self._free_at_s)
        piece = bytes(self._waiting[:size])
        del self._waiting[:size]
        lasts_s = size / self._frame_bytes * self._frame_us / US_PER_S
        self._free_at_s = max(self._free_at_s, trio.current_time() - lasts_s) + lasts_s / self._catch_up
        await line.send(piece)


_LONGEST_GAP = 500
"""Lost frames that are filled with silence; of a longer gap the rest is left out of the clock."""


def _is_farewell(message: str | bytes) -> bool:
    return isinstance(message, str) and '"Termination"' in message


_ERRORS = {401: Trouble.AUTH, 402: Trouble.PAYMENT, 403: Trouble.AUTH, 429: Trouble.LIMIT}


def _raise_error(message: dict[str, Any]) -> None:
    if "type" not in message:
        raise schema("a message without a type")
    if message["type"] != "Error":
        return
    code, said = message.get("error_code"), str(message.get("error", ""))
    if not isinstance(code, int):
        raise CloudError(Trouble.SERVER, said)
    raise CloudError(_ERRORS.get(code) or of_close(code, said).trouble, f"{said} ({code})")
