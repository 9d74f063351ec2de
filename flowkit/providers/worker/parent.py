"""The parent's side of a voice in a worker process, which keeps its GIL, its memory faults and its licence apart.

One process at a time. It is started when the session is made ready, and again if it dies or stops answering; the new
one speaks the rest of the clause in hand. A cancelled clause is abandoned at once: its frames are discarded by their
request number. The process ends with the session, and also when this process is killed, because its standard input
ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

import flowkit.providers
from flowkit.errors import ProviderError
from flowkit.messages import Audio, Message, Speak
from flowkit.providers.base import Emit
from flowkit.providers.plain import plain
from flowkit.providers.worker.wire import Frame, FrameKind, Unpacker, total_and_pcm
from flowkit.words import has_words

LOAD_TIMEOUT_S = 60.0
GRACE_S = 1.0
"""How long a process that was told to go may take; it needs milliseconds."""
PING_EVERY_S = 1.0
_PINGS = 2
"""So many without an answer, and the process counts as dead. A thread of its own answers, so a long clause is no reason."""
_LIVES = 2
"""Processes that a clause is given to: the one that runs, and another one should that end."""
_PIECES_AHEAD = 600
"""Pieces of 100 ms that wait for the stage, a minute: a session that plays its clause must not hold up the next one's. Behind them
the pipe fills, and then the worker waits."""
_AT_A_TIME = 16
"""Clauses with the process; more wait in turn."""
_ORDERS_AHEAD = 64
"""Frames on their way to the process: each clause's, its cancelling, its pings."""
_READ_BYTES = 1 << 16
_LAST_WORDS = 5
_QUOTED = 60

Heard = Callable[[int, bytes], Awaitable[None]]
"""Takes the clause's samples in all (0: not known yet) and a piece of its sound, s16le mono."""


class _Life:
    """One run of the process: its pipes, and who listens to which request. Over when `over` is set."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.rate_hz = 0
        self.ready = trio.Event()
        self.failure: ProviderError | None = None
        self._orders, self._outgoing = trio.open_memory_channel[Frame](_ORDERS_AHEAD)
        self._listeners: dict[int, trio.MemorySendChannel[Frame]] = {}
        self._held_back = False
        """Somebody takes no more, so nobody's frames are read."""
        self._scope = trio.CancelScope()

    @property
    def over(self) -> bool:
        return self.failure is not None

    def order(self, frame: Frame) -> None:
        """Send the process a frame, soon. A process that has stopped reading is as good as dead."""
        try:
            self._orders.send_nowait(frame)
        except trio.WouldBlock:
            self.end("has stopped listening")
        except trio.ClosedResourceError:
            pass  # it has ended already; whoever waits for an answer is told so

    @asynccontextmanager
    async def listening(self, request: int) -> AsyncIterator[trio.MemoryReceiveChannel[Frame]]:
        """What the process says about `request`; ends early if the process does. Afterwards it is discarded."""
        send, receive = trio.open_memory_channel[Frame](_PIECES_AHEAD)
        self._listeners[request] = send
        try:
            with receive:
                yield receive
        finally:
            self._listeners.pop(request, None)

    async def next(self, frames: trio.MemoryReceiveChannel[Frame], request: int) -> Frame | None:
        """What the process says next about `request`; None if it is over, or does not even answer a ping and so is ended."""
        pings = 0
        while True:
            with trio.move_on_after(PING_EVERY_S):
                try:
                    frame = await frames.receive()
                except trio.EndOfChannel:
                    return None
                if frame.kind is not FrameKind.PONG:
                    return frame
                pings = 0
                continue
            if self._held_back:
                continue
            if pings == _PINGS:
                self.end("has stopped answering")
                return None
            pings += 1
            self.order(Frame(FrameKind.PING, request))

    async def run(self, command: list[str], setup: Mapping[str, Any]) -> None:
        """Start the process, carry frames both ways until it ends, and leave nothing of it behind."""
        environment = {**os.environ, "PYTHONPATH": _import_path()}
        pipe = subprocess.PIPE
        try:
            process = await trio.lowlevel.open_process(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        except OSError as exc:
            self.end(f"cannot be started: {exc.strerror}")
            return
        last_words = _LastWords()
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._write, process)
                nursery.start_soon(last_words.overhear, process)
                self.order(Frame(FrameKind.SETUP, 0, json.dumps(setup).encode()))
                await self._read(process)
                with trio.move_on_after(GRACE_S):
                    await last_words.spoken.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await _dismiss(process)
            self.end(_farewell(process.returncode, last_words.lines))

    def end(self, why: str) -> None:
        """Tell everybody that nothing more will come. The first reason stands."""
        if self.failure is None:
            self.failure = ProviderError(f"{self.title}: the worker process {why}")
        self.ready.set()
        self._orders.close()
        for listener in self._listeners.values():
            listener.close()
        self._scope.cancel()

    async def _write(self, process: trio.Process) -> None:
        assert process.stdin is not None, "opened with a pipe"
        with suppress(trio.BrokenResourceError):  # the process is gone; the reader sees it too, and says so
            async for frame in self._outgoing:
                await process.stdin.send_all(frame.packed())

    async def _read(self, process: trio.Process) -> None:
        assert process.stdout is not None, "opened with a pipe"
        unpacker = Unpacker()
        try:
            while data := await process.stdout.receive_some(_READ_BYTES):
                for frame in unpacker.feed(bytes(data)):
                    await self._hand_on(frame)
        except ValueError as exc:
            self.end(f"sent what is no frame: {exc}")

    async def _hand_on(self, frame: Frame) -> None:
        if frame.kind is FrameKind.READY:
            self.rate_hz = int(json.loads(frame.payload)["rate_hz"])
            self.ready.set()
        elif frame.request == 0:
            self.end(f"cannot load the voice: {frame.payload.decode(errors='replace')}")
        elif listener := self._listeners.get(frame.request):
            self._held_back = listener.statistics().current_buffer_used == _PIECES_AHEAD
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # cancelled while it was held back
                await listener.send(frame)
            self._held_back = False


class _Order:
    """A clause to be spoken: `samples` of it were handed on; of a process's sound the first `skip` are known already."""

    def __init__(self, text: str, heard: Heard) -> None:
        self.text = text
        self.samples = self.skip = 0
        self._heard = heard

    async def take(self, frame: Frame) -> None:
        """Hand on what is new of an AUDIO frame."""
        total, pcm = total_and_pcm(frame)
        known = min(self.skip, len(pcm) // 2)
        self.skip -= known
        if pcm := pcm[2 * known :]:
            self.samples += len(pcm) // 2
            await self._heard(total, pcm)


class Worker:
    """A voice in a process of its own: `module` is run with ``python -m`` and gets `setup`; `title` names it in
    errors."""

    def __init__(self, title: str, module: str, setup: Mapping[str, Any]) -> None:
        self._title = title
        self._command = [sys.executable, "-P", "-m", module]
        self._setup = setup
        self._nursery: trio.Nursery | None = None
        self._life = _Life(title)
        self._requests = 0
        self._turns = trio.CapacityLimiter(_AT_A_TIME)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Start the process and wait until it has loaded its voice. Raises ProviderError if it does not."""
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._start()
            try:
                await self._alive()
                yield self
            except Exception as exc:  # carried past the nursery, which would wrap it into a group
                failure = exc
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def answer(self, request: Message, emit: Emit, escape: Callable[[str], str] = str) -> None:
        """Answer a Speak with Audio: the whole call of a provider whose voice lives here. `escape` takes apart what the voice would
        take for its own markup. Raises ProviderError, also if words gave no sound: what was not said must not count as heard."""
        if not isinstance(request, Speak):
            raise ProviderError(f"{self._title}: cannot speak {type(request).__name__}")
        first = 0

        async def heard(total: int, pcm: bytes) -> None:
            nonlocal first
            samples = len(pcm) // 2
            await emit(Audio(request.clause, first, samples, self._life.rate_hz, total, pcm))
            first += samples

        await self.speak(escape(plain(request.text)), heard)
        if not first and has_words(request.text):
            raise ProviderError(f"{self._title}: gave no sound for {request.text[:_QUOTED]!r}")

    async def speak(self, text: str, heard: Heard) -> None:
        """Speak `text`; `heard` gets its sound piece by piece. Cancelling abandons it at once. If the process dies or stops,
        a new one speaks the same, of which only what is missing is handed on.

        Raises ProviderError if the voice fails, or the new process dies as well; the next call starts another one."""
        if not text.strip():
            return
        order = _Order(text, heard)
        async with self._turns:
            for _ in range(_LIVES):
                life = await self._alive()
                if await self._spoken(order, life):
                    return
        raise life.failure or ProviderError(f"{self._title}: the worker process fell silent")

    async def _spoken(self, order: _Order, life: _Life) -> bool:
        """Have `order` spoken; False if the process is over before it has said everything."""
        self._requests += 1
        number = self._requests
        async with life.listening(number) as frames:
            life.order(Frame(FrameKind.SPEAK, number, order.text.encode()))
            order.skip = order.samples
            try:
                while (frame := await life.next(frames, number)) is not None:
                    if frame.kind is FrameKind.FAILED:
                        raise ProviderError(f"{self._title}: {frame.payload.decode(errors='replace')}")
                    if frame.kind is FrameKind.DONE:
                        return True
                    await order.take(frame)
                return False
            except BaseException:  # cancelled, or the stage would not have it
                life.order(Frame(FrameKind.CANCEL, number))
                raise

    async def _alive(self) -> _Life:
        if self._life.over:
            self._start()
        life = self._life
        with trio.move_on_after(LOAD_TIMEOUT_S) as patience:
            await life.ready.wait()
        if patience.cancelled_caught:
            life.end(f"did not load its voice in {LOAD_TIMEOUT_S:.0f} s")
        if life.failure:
            raise life.failure
        return life

    def _start(self) -> None:
        assert self._nursery is not None, "speak() comes inside running()"
        self._life = _Life(self._title)
        self._nursery.start_soon(self._life.run, self._command, self._setup)


class _LastWords:
    """The last lines of what a process complains of, for the error that tells of its end."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_LAST_WORDS)
        self.spoken = trio.Event()

    async def overhear(self, process: trio.Process) -> None:
        assert process.stderr is not None, "opened with a pipe"
        while data := await process.stderr.receive_some(_READ_BYTES):
            self.lines.extend(line.strip() for line in data.decode(errors="replace").splitlines() if line.strip())
        self.spoken.set()


async def _dismiss(process: trio.Process) -> None:
    assert process.stdin is not None, "opened with a pipe"
    await process.stdin.aclose()
    with trio.move_on_after(GRACE_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _farewell(returncode: int | None, last_words: deque[str]) -> str:
    code = returncode or 0
    why = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{why} ({last_words[-1]})" if last_words and code else why


def _import_path() -> str:
    """Where the child finds flowkit, also in a source checkout that is not installed."""
    here = str(Path(flowkit.providers.__path__[0]).parents[1])
    return os.pathsep.join(path for path in (here, os.environ.get("PYTHONPATH", "")) if path)
