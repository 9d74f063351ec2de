"""Runs a TTS in a worker process, so that its GIL, its crashes and its licence do not affect this process.

There is one process at a time. It is started when the model is loaded, and again if it dies or stops answering; the new
process speaks the rest of the current clauses. A cancelled clause is abandoned at once: its frames are discarded by
their request number. The process ends with the model. It also ends if this process is killed, because its standard
input is closed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
from flowkit.providers.process import GRACE_S, READ_BYTES, ErrorOutput, reason, stop
from flowkit.providers.worker.wire import Frame, FrameKind, Unpacker, total_and_pcm
from flowkit.words import has_words

LOAD_TIMEOUT_S = 60.0
PING_EVERY_S = 1.0
_PINGS = 2
"""After so many unanswered pings the process counts as dead. A thread answers them, even during a long clause."""
_ATTEMPTS = 2
"""Processes that may speak a clause: the running one, and a new one if that ends."""
_PIECES_AHEAD = 600
"""Pieces of 100 ms that may wait for a stage: one minute, so that a session that still plays does not stop the others.
If more come, the pipe fills, and then the worker waits."""
_FRAMES_AHEAD = 64
"""Frames that may wait to be sent to the process: a clause, its cancel and its pings, and those of clauses that were
cancelled just now."""
_QUOTED = 60

Heard = Callable[[int, bytes], Awaitable[None]]
"""Takes the number of samples in the whole clause (0: not known yet) and a piece of its audio, s16le mono."""


Finished = Callable[[], None]
"""Called when the process has synthesized all of a clause, before all of it is passed on."""


class _Child:
    """One run of the worker process: its pipes, and the channels of the requests that it answers.

    `failure` says why it has ended; it is None while the process runs.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.rate_hz = 0
        self.ready = trio.Event()
        self.failure: ProviderError | None = None
        self._to_send, self._outgoing = trio.open_memory_channel[Frame](_FRAMES_AHEAD)
        self._listeners: dict[int, tuple[trio.MemorySendChannel[Frame], Finished]] = {}
        self._held_back = False
        """A request's channel is full, so no frames are read, and an unanswered ping means nothing."""
        self._scope = trio.CancelScope()

    @property
    def over(self) -> bool:
        return self.failure is not None

    def send(self, frame: Frame) -> None:
        """Queue a frame for the process. A process that does not read any more is ended."""
        try:
            self._to_send.send_nowait(frame)
        except trio.WouldBlock:
            self.end("has stopped reading")
        except trio.ClosedResourceError:
            pass  # it has ended; the channels of all requests are closed

    @asynccontextmanager
    async def listening(self, request: int, finished: Finished) -> AsyncIterator[trio.MemoryReceiveChannel[Frame]]:
        """The frames that the process sends for `request`. The channel ends early if the process does. Later frames are
        discarded."""
        send, receive = trio.open_memory_channel[Frame](_PIECES_AHEAD)
        self._listeners[request] = send, finished
        try:
            with receive:
                yield receive
        finally:
            self._listeners.pop(request, None)

    async def next(self, frames: trio.MemoryReceiveChannel[Frame], request: int) -> Frame | None:
        """The next frame for `request`; None if the process has ended. If it does not answer pings either, it is ended
        here."""
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
            self.send(Frame(FrameKind.PING, request))

    async def run(self, command: list[str], setup: Mapping[str, Any]) -> None:
        """Start the process, pass frames both ways until it ends, and clean up after it."""
        environment = {**os.environ, "PYTHONPATH": _import_path()}
        pipe = subprocess.PIPE
        try:
            process = await trio.lowlevel.open_process(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        except OSError as exc:
            self.end(f"cannot be started: {exc.strerror}")
            return
        errors = ErrorOutput()
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._write, process)
                nursery.start_soon(errors.read, process)
                self.send(Frame(FrameKind.SETUP, 0, json.dumps(setup).encode()))
                await self._read(process)
                # The last lines of its standard error say why it has ended.
                with trio.move_on_after(GRACE_S):
                    await errors.ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            # A cancelled host must not leave the process running.
            with trio.CancelScope(shield=True):
                await stop(process)
            self.end(reason(process.returncode, errors.lines))

    def end(self, why: str) -> None:
        """End the process and all its requests. The first reason is kept."""
        if self.failure is None:
            self.failure = ProviderError(f"{self.title}: the worker process {why}")
        # A task that waits for the voice must wake, or it would never see the failure.
        self.ready.set()
        self._to_send.close()
        for listener, _ in self._listeners.values():
            listener.close()
        self._scope.cancel()

    async def _write(self, process: trio.Process) -> None:
        assert process.stdin is not None, "opened with a pipe"
        with suppress(trio.BrokenResourceError):  # the process has ended; _read notices it too
            async for frame in self._outgoing:
                await process.stdin.send_all(frame.packed())

    async def _read(self, process: trio.Process) -> None:
        assert process.stdout is not None, "opened with a pipe"
        unpacker = Unpacker()
        try:
            while data := await process.stdout.receive_some(READ_BYTES):
                for frame in unpacker.feed(bytes(data)):
                    await self._hand_on(frame)
        except ValueError as exc:
            self.end(f"sent a malformed frame: {exc}")

    async def _hand_on(self, frame: Frame) -> None:
        if frame.kind is FrameKind.READY:
            self.rate_hz = int(json.loads(frame.payload)["rate_hz"])
            self.ready.set()
        # Request 0 is the setup. Its only other answer is a failure.
        elif frame.request == 0:
            self.end(f"cannot load the voice: {frame.payload.decode(errors='replace')}")
        elif frame.request in self._listeners:
            listener, finished = self._listeners[frame.request]
            if frame.kind in (FrameKind.DONE, FrameKind.FAILED):
                finished()
            self._held_back = listener.statistics().current_buffer_used == _PIECES_AHEAD
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # cancelled while it was held back
                await listener.send(frame)
            self._held_back = False


class _Synthesis:
    """A clause that is being spoken. `samples` counts the samples passed on; the next `skip` samples were passed on
    before."""

    def __init__(self, text: str, heard: Heard) -> None:
        self.text = text
        self.samples = self.skip = 0
        self._heard = heard

    async def take(self, frame: Frame) -> None:
        """Pass on the new samples of an AUDIO frame."""
        total, pcm = total_and_pcm(frame)
        known = min(self.skip, len(pcm) // 2)
        self.skip -= known
        if pcm := pcm[2 * known :]:
            self.samples += len(pcm) // 2
            await self._heard(total, pcm)


class Worker:
    """A TTS in a worker process. It speaks one clause after another, in the order of the calls.

    Args:
        title: Names it in errors.
        module: The module that the process runs, as with ``python -m``.
        setup: The settings that the module gets, as JSON.
    """

    def __init__(self, title: str, module: str, setup: Mapping[str, Any]) -> None:
        self._title = title
        # With -P a file in the current folder cannot take the place of a module.
        self._command = [sys.executable, "-P", "-m", module]
        self._setup = setup
        self._nursery: trio.Nursery | None = None
        self._child = _Child(title)
        self._requests = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Start the process and wait until it has loaded its voice. Raises ProviderError if it does not."""
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._start()
            try:
                await self._running_child()
                yield self
            except Exception as exc:  # raised after the nursery, which would wrap it in a group
                failure = exc
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def answer(
        self,
        request: Message,
        emit: Emit,
        escape: Callable[[str], str] = str,
        finished: Finished = lambda: None,
    ) -> None:
        """Answer a Speak with Audio: the ``call`` of a provider whose voice is this worker.

        `escape` removes the voice's own markup from the text. `finished` is called when the process is free for the next
        clause. Raises ProviderError, also if a text with words gives no audio, because the history must not count it as
        heard.
        """
        if not isinstance(request, Speak):
            raise ProviderError(f"{self._title}: cannot speak {type(request).__name__}")
        first = 0

        async def heard(total: int, pcm: bytes) -> None:
            nonlocal first
            samples = len(pcm) // 2
            await emit(Audio(request.clause, first, samples, self._child.rate_hz, total, pcm))
            first += samples

        await self.speak(escape(plain(request.text)), heard, finished)
        if not first and has_words(request.text):
            raise ProviderError(f"{self._title}: returned no audio for {request.text[:_QUOTED]!r}")

    async def speak(self, text: str, heard: Heard, finished: Finished = lambda: None) -> None:
        """Speak `text`, and pass its audio to `heard` piece by piece. Cancelling abandons it at once.

        If the process dies or stops answering, a new one speaks the text again, and only the missing samples are passed
        on.

        Raises ProviderError if the voice fails, or if the new process dies too. The next call starts another process.
        """
        if not text.strip():
            return
        synthesis = _Synthesis(text, heard)
        for _ in range(_ATTEMPTS):
            child = await self._running_child()
            if await self._spoken(synthesis, child, finished):
                return
        raise child.failure or ProviderError(f"{self._title}: the worker process stopped sending audio")

    async def _spoken(self, synthesis: _Synthesis, child: _Child, finished: Finished) -> bool:
        """Let `child` speak. Returns False if it ends before all audio has come."""
        self._requests += 1
        number = self._requests
        async with child.listening(number, finished) as frames:
            child.send(Frame(FrameKind.SPEAK, number, synthesis.text.encode()))
            # A new process speaks the clause from its start.
            synthesis.skip = synthesis.samples
            try:
                while (frame := await child.next(frames, number)) is not None:
                    if frame.kind is FrameKind.FAILED:
                        raise ProviderError(f"{self._title}: {frame.payload.decode(errors='replace')}")
                    if frame.kind is FrameKind.DONE:
                        return True
                    await synthesis.take(frame)
                return False
            except BaseException:  # cancelled, or the stage raised an error
                child.send(Frame(FrameKind.CANCEL, number))
                raise

    async def _running_child(self) -> _Child:
        if self._child.over:
            self._start()
        child = self._child
        with trio.move_on_after(LOAD_TIMEOUT_S) as loading:
            await child.ready.wait()
        if loading.cancelled_caught:
            child.end(f"did not load its voice in {LOAD_TIMEOUT_S:.0f} s")
        if child.failure:
            raise child.failure
        return child

    def _start(self) -> None:
        assert self._nursery is not None, "speak() comes inside running()"
        self._child = _Child(self._title)
        self._nursery.start_soon(self._child.run, self._command, self._setup)


def _import_path() -> str:
    """The PYTHONPATH with which the child finds flowkit, even in a source checkout that is not installed."""
    here = str(Path(flowkit.providers.__path__[0]).parents[1])
    return os.pathsep.join(path for path in (here, os.environ.get("PYTHONPATH", "")) if path)
