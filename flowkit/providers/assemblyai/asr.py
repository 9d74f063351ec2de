"""AssemblyAI's streaming speech recognition (v3), over its wire protocol.

By default flowkit's endpointing forces the end of a turn, which gives the final transcript soonest. If the connection
breaks, the runtime starts a new call and feeds it the audio that was not yet transcribed (``runtime.handover``).
https://www.assemblyai.com/docs/streaming/message-sequence

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
from flowkit.messages import EndOfUtterance, Frames, Message, Usage
from flowkit.providers.assemblyai.turns import Owed, ServerTurn, ServerTurns
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError, Trouble, lone_fault, of_close, schema
from flowkit.providers.cloud.keys import cleaned, key_of
from flowkit.providers.cloud.line import CONNECT_S, Address, Line, dial
from flowkit.providers.cloud.text import json_object
from flowkit.providers.loading import imported

_SHORTEST_US = 50_000
"""The shortest piece of audio that the service accepts. It closes the connection (code 3007) for a piece below 50 ms or
over 1 s."""
_REPORT_US = 5_000_000
"""How much audio is sent before the usage is reported again, if nobody ends an utterance."""
_VERSION = "2025-05-12"
_TERMINATE = json.dumps({"type": "Terminate"})
_FORCE = json.dumps({"type": "ForceEndpoint"})
_IGNORED = frozenset({"Begin", "SpeechStarted", "Heartbeat", "Silence", "SpeakerRevision", "LLMGatewayResponse"})


class Ends(StrEnum):
    """What ends an utterance."""

    OWN = "own"
    """flowkit's endpointing. It forces the server's turn to end."""
    SERVER = "server"
    """The server, at the end of each of its turns. For `gate: {release: asr_final}` without a VAD."""


_LANGUAGES = {
    "universal-streaming-english": ("en",),
    "universal-streaming-multilingual": ("en", "es", "de", "fr", "it", "pt"),
}


class AssemblyAI(Provider):
    """Answers with ``Partial`` while the user speaks, and with one ``Final`` for each end of utterance."""

    kind = "asr"
    name = "assemblyai"
    requires = ("websockets",)
    install = "pip install 'flowkit-voice[cloud]'"
    licences = (("websockets", "BSD-3-Clause"), ("AssemblyAI (service)", "the service's terms"))
    remote = True
    variable = "ASSEMBLYAI_API_KEY"

    class Options(opt.Options):
        api_key: opt.Secret | None = None
        """The API key. Default: the environment variable ASSEMBLYAI_API_KEY."""
        base_url: str = Field(default="wss://streaming.assemblyai.com", pattern="^wss?://[^ ]+$")
        """Address of the service. Change it for the service in Europe (wss://streaming.eu.assemblyai.com) or for
        `flowkit emulate`."""
        model: str = "universal-streaming-english"
        """AssemblyAI's parameter `speech_model`."""
        keyterms: tuple[str, ...] = Field(default=(), max_length=100)
        """Names and rare words that the user may say."""
        format: bool = False
        """Wait for punctuation and capitals. It costs about 100 ms per turn. Some models always give them."""
        ends: Ends = Ends.OWN
        """`own`: flowkit's endpointing ends utterances. `server`: AssemblyAI ends them."""
        min_silence: opt.Duration | None = None
        """AssemblyAI's parameter `min_turn_silence`: silence after which the server may end a turn that seems
        complete."""
        max_silence: opt.Duration | None = None
        """AssemblyAI's parameter `max_turn_silence`: silence after which the server ends any turn."""
        piece: opt.Duration = opt.us("60ms")
        """Length of the audio in one message, 50ms to 1s."""
        final_within: opt.Duration = opt.us("1s")
        """How long to wait for the final transcript after an end of utterance. Then the transcript so far becomes the
        final one."""
        catch_up: float = Field(default=2.0, ge=1.0, le=10.0)
        """How much faster than real time to send audio that waited for a connection. The service closes a connection
        that sends much faster than real time (code 3007)."""

    options: Options

    @classmethod
    def languages(cls, options: Any) -> tuple[str, ...]:
        """https://www.assemblyai.com/docs/speech-to-text/universal-streaming"""
        return _LANGUAGES.get(options.model, ())

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises CloudError without a key."""
        key_of(f"asr {cls.name}", options.api_key, cls.variable)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[opt.Secret]:
        """Find the API key and import the library. The model is the key. Raises CloudError without a key."""
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
        """Open the nursery of the connection, which ``call`` opens. Raises ProviderError if `piece` is not 50 ms to 1
        s."""
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
            # Only reported: after a cancellation this task could not wait for the closing.
            if line is not None:
                line.hang_up()

    async def probe(self) -> str:
        """Start a session with the service and end it, to see whether the key works. Raises ProviderError."""
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
        # The service wants the key alone, without `Bearer`.
        headers = {"Authorization": self.key.get_secret_value(), "AssemblyAI-Version": _VERSION}
        connect_s = CONNECT_S if connect_us is None else connect_us / US_PER_S
        # A session that is not terminated is billed up to its limit, so the connection says Terminate even after a
        # cancellation.
        return await dial(self.nursery, Address(self.url(), headers, connect_s, (_TERMINATE,), _is_farewell))

    def url(self) -> str:
        """The address with the session's parameters. The service does not allow changes after the session has
        started."""
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
    """One connection: `_talk` sends what the stage feeds, `_listen` reads, and `ServerTurns` makes utterances of the
    service's turns."""

    def __init__(self, provider: AssemblyAI, line: Line, emit: Emit) -> None:
        self._provider = provider
        self._line = line
        self._emit = emit
        self._turns = ServerTurns(provider.options.format, provider.options.ends is Ends.SERVER)
        self._audio = Outgoing(provider.around, provider.options)
        self._forced = trio.Event()
        self._emitted = trio.Event()
        self._reported_us = 0
        self._emitting = 0
        """Batches of answers that ``_give`` is emitting. ``run`` must not end before they are accepted."""

    async def run(self, fed: AsyncIterator[Message]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._time_out)
            await self._talk(fed)
            while self._turns.owed or self._emitting:
                await self._emitted.wait()
            nursery.cancel_scope.cancel()

    async def _talk(self, fed: AsyncIterator[Message]) -> None:
        async for item in fed:
            if isinstance(item, Frames):
                await self._audio.send(self._line, item)
                if self._audio.sent_us - self._reported_us >= _REPORT_US:
                    await self._used()
            elif isinstance(item, EndOfUtterance):
                await self._end(item)

    async def _end(self, end: EndOfUtterance) -> None:
        options, around = self._provider.options, self._provider.around
        # The server must have all audio of the turn before it is forced to end it.
        await self._audio.flush(self._line)
        await self._used()
        owed = Owed(end.utterance, self._audio.ms_of(end.last_voiced + 1), around.now_us() + options.final_within)
        await self._give(self._turns.ended(owed))
        if self._turns.owed:
            self._forced.set()
            await self._line.send(_FORCE)

    async def _used(self) -> None:
        """Report what the service has got. It bills the time of the connection, which is that of its audio."""
        self._reported_us = self._audio.sent_us
        await self._give([Usage(audio_us=self._reported_us)])

    async def _listen(self) -> None:
        while True:
            message = json_object(await self._line.receive())
            _raise_error(message)
            kind = message.get("type")
            if kind == "Turn":
                await self._give(self._turns.heard(ServerTurn.of(message)))
            elif kind == "Termination":
                # This side terminates only after the call, so the server did it unasked.
                raise of_close(1000, "the server terminated the session")
            elif kind == "Warning":
                self._tell("warning", str(message.get("warning", "")))
            elif kind not in _IGNORED:
                self._tell("unknown", f"a message of unknown type {kind!r}")

    async def _time_out(self) -> None:
        """Emit the transcript so far for each utterance whose final transcript does not come within `final_within`."""
        around = self._provider.around
        while True:
            await self._forced.wait()
            while self._turns.owed:
                await trio.sleep(max(0, self._turns.owed[0].give_up_us - around.now_us()) / US_PER_S)
                await self._give(self._turns.overdue(around.now_us()))
            self._forced = trio.Event()

    async def _give(self, items: list[Message]) -> None:
        if not items:
            return
        self._emitting += 1
        for item in items:
            await self._emit(item)
        self._emitting -= 1
        self._emitted.set()
        self._emitted = trio.Event()

    def _tell(self, name: str, detail: str) -> None:
        around = self._provider.around
        around.event(around.now_us(), name, f"{self._provider.title}: {detail}")


class Outgoing:
    """Sends audio in pieces of a length that the service accepts, without gaps, and at most `catch_up` times real
    time."""

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
        self.sent_us = 0
        """Length of the audio that was sent, in microseconds."""

    def _bytes(self, us: int) -> int:
        """Size of `us` microseconds of audio in bytes, rounded up to whole frames."""
        return -(-us // self._frame_us) * self._frame_bytes

    def ms_of(self, frame: int) -> int:
        """Start of input frame `frame` in milliseconds of audio sent on this connection."""
        return max(0, frame - (self._first or 0)) * self._frame_us // US_PER_MS

    async def send(self, line: Line, frames: Frames) -> None:
        """Add frames and send all complete pieces. Lost frames become silence, because the server measures time by the
        audio it gets."""
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
        """Send the waiting audio if the service accepts its length. Less than that is only trailing silence and waits
        for more."""
        if len(self._waiting) >= self._shortest:
            await self._out(line, len(self._waiting))

    async def _out(self, line: Line, size: int) -> None:
        await trio.sleep_until(self._free_at_s)
        piece = bytes(self._waiting[:size])
        del self._waiting[:size]
        lasts_s = size / self._frame_bytes * self._frame_us / US_PER_S
        # A pause saves up no more than one piece, or audio that waited would be sent in a burst.
        self._free_at_s = max(self._free_at_s, trio.current_time() - lasts_s) + lasts_s / self._catch_up
        await line.send(piece)
        self.sent_us += size // self._frame_bytes * self._frame_us


_LONGEST_GAP = 500
"""The most lost frames that are filled with silence. The rest of a longer gap is left out of the connection's clock."""


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
    # The field holds HTTP statuses as well as the service's close codes.
    raise CloudError(_ERRORS.get(code) or of_close(code, said).trouble, f"{said} ({code})")
