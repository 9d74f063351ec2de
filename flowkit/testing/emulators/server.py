"""The base class of all emulators: a server on loopback that records its requests, and helpers for transport faults.

All connections end when the emulator does.
"""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from flowkit.testing.emulators.faults import FaultPlan, ServerFault

HOST = "127.0.0.1"
E = TypeVar("E", bound="Emulator")


@dataclass(slots=True)
class Seen:
    """One recorded request.

    `headers` have lower-case names. `messages` are the messages that the client sent, with decoded JSON, and audio as
    its size in bytes. `over`: the request has ended.
    """

    path: str
    headers: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    body: Any = None
    fault: ServerFault = ServerFault.NONE
    over: bool = False


class Emulator(ABC):
    """Base class of emulators. `seen` records all requests, and `faults` chooses their faults.

    Args:
        pause_s: the delay of slow faults, in seconds.
        always: the fault of every request for which nothing else selects one.
        tls: serve TLS with this context.
    """

    name: str

    def __init__(
        self, *, pause_s: float = 0.2, always: ServerFault = ServerFault.NONE, tls: ssl.SSLContext | None = None
    ) -> None:
        self.pause_s = pause_s
        self.faults = FaultPlan(always)
        self.seen: list[Seen] = []
        self.port = 0
        self._tls = tls

    @property
    def url(self) -> str:
        """The base URL for HTTP."""
        return f"http{'s' if self._tls else ''}://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The base URL for websockets."""
        return f"ws{'s' if self._tls else ''}://{HOST}:{self.port}"

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Uses `port`, or a free port if it is 0."""
        listeners = await trio.open_tcp_listeners(self.port, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self._guarded, listeners)
            task_status.started()

    async def _guarded(self, stream: trio.SocketStream) -> None:
        """Answer a connection. A client that closes it early does not end the emulator."""
        try:
            async with stream:
                await self.connection(await self._secured(stream))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        except BaseExceptionGroup as group:
            _, others = group.split((trio.BrokenResourceError, trio.ClosedResourceError, OSError))
            if others is not None:
                raise others from group

    async def _secured(self, stream: trio.SocketStream) -> Any:
        if self._tls is None:
            return stream
        # HTTP clients close the connection without TLS's own closing messages.
        secured = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        await secured.do_handshake()
        return secured

    @abstractmethod
    async def connection(self, stream: Any) -> None:
        """Answer one connection."""


def reset(stream: Any) -> None:
    """Reset the TCP connection. Sent data may be lost, and the client gets an error."""
    raw = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    # With a linger time of 0 the system sends a reset instead of an orderly end.
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.socket.close()


async def until_gone(stream: Any) -> None:
    """Send nothing until the client closes the connection."""
    while await stream.receive_some(65_536):
        pass


@contextmanager
def running(emulator: E) -> Iterator[E]:
    """Run the emulator in a thread with its own event loop, for clients on any event loop.

    Raises the exception that the emulator raised, if any.
    """
    began: queue.Queue[Any] = queue.Queue()
    failures: list[BaseException] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(lambda task_status: emulator.serve(task_status=task_status))
                began.put((trio.lowlevel.current_trio_token(), scope))

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as exc:
            failures.append(exc)
            # The caller waits for the start, and would wait for ever.
            began.put(None)

    thread = threading.Thread(target=run, name=f"emulator {emulator.name}", daemon=True)
    thread.start()
    started = began.get()
    try:
        if started is not None:
            yield emulator
    finally:
        if started is not None and thread.is_alive():
            token, scope = started
            try:
                token.run_sync_soon(scope.cancel)
            except trio.RunFinishedError:
                pass
        thread.join(timeout=10)
    if failures:
        raise failures[0]
