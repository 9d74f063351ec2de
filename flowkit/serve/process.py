"""The process of a worker, as its parent sees it."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import trio

from flowkit.serve.worker import WorkerTask

_COMMAND = "import sys; sys.path[:] = {path!r}; from flowkit.serve.worker import main; main()"


class Process(Protocol):
    """A process, its number for the system, and the parent's end of its link."""

    @property
    def pid(self) -> int: ...

    @property
    def stream(self) -> trio.abc.Stream: ...

    async def ended(self) -> str:
        """Wait until it has ended. Says how: ``SIGKILL``, ``exit code 1``."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class WorkerProcess:
    """A Python process of its own."""

    def __init__(self, process: trio.Process, stream: trio.SocketStream) -> None:
        self.pid = process.pid
        self.stream = stream
        self._process = process

    async def ended(self) -> str:
        code = await self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        self._process.kill()


async def start_worker(work: WorkerTask, number: int) -> WorkerProcess:
    """Start worker `number`, and pass on its task."""
    ours, theirs = socket.socketpair()
    with theirs:
        # It finds modules where this process does, and with -P not in the current folder before that is set.
        command = [sys.executable, "-P", "-c", _COMMAND.format(path=sys.path)]
        # A Ctrl-C reaches all processes of a group. This one drains when the parent says so.
        process = await trio.lowlevel.open_process(command, stdin=theirs.fileno(), process_group=0)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    # If it has ended already, its link says so.
    with trio.CancelScope(shield=True), suppress(trio.BrokenResourceError):
        await stream.send_all(replace(work, number=number).packed())
    return WorkerProcess(process, stream)
