"""One WebSocket on a Trio stream: websockets' sans-IO protocol does the framing, this does the I/O.

What waits to be sent is bounded in bytes. A client that reads so slowly that the bound is exceeded is dropped, because
what waits for it would otherwise fill the memory of all.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import trio
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from flowkit.serve.http import HttpRequest

NORMAL, GOING_AWAY, POLICY, INTERNAL, TRY_AGAIN = 1000, 1001, 1008, 1011, 1013
"""Close codes of RFC 6455 and its registry."""
SPOKEN = "realtime"
"""The subprotocol that is chosen, if a client offers any."""
_RECEIVE = 65_536
_PING_S = 20.0
_GRACE_S = 2.0
# The library would log headers, and with them a token, if someone turned its debugging on.
_SILENT = logging.getLogger("flowkit.serve.socket")
_SILENT.setLevel(logging.CRITICAL)


class Socket:
    """A connection that becomes a WebSocket.

    Args:
        stream: the connection.
        most: the largest message of the client in bytes.
        unsent: how many bytes may wait to be sent.
    """

    def __init__(self, stream: trio.abc.Stream, *, most: int, unsent: int) -> None:
        self._stream = stream
        self._protocol = ServerProtocol(select_subprotocol=_chosen, max_size=most, logger=_SILENT)
        self._unsent = unsent
        self._out: list[bytes] = []
        self._waiting = 0
        self._news = trio.Event()
        self._scope = trio.CancelScope()
        self._heard_s = trio.current_time()
        self.dropped = ""
        """Why the connection was given up without a closing handshake; empty if it was not."""

    async def accept(self, request: HttpRequest, trailing: bytes) -> bool:
        """Answer the handshake. Returns whether there is a WebSocket now. If not, the answer says why.

        Raises trio.BrokenResourceError if the client is gone.
        """
        self._protocol.receive_data(request.head)
        (received,) = self._protocol.events_received()
        assert isinstance(received, Request)
        self._protocol.send_response(self._protocol.accept(received))
        await self._stream.send_all(b"".join(self._protocol.data_to_send()))
        if self._protocol.state is State.OPEN and trailing:
            self._protocol.receive_data(trailing)
        return self._protocol.state is State.OPEN

    async def run(self, talk: Callable[[], Awaitable[None]]) -> None:
        """Carry the connection while `talk` runs, then close it. `talk` is cancelled if the connection is lost."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ping)
                nursery.start_soon(self._write)
                await talk()
                self.close(NORMAL, "")
                nursery.cancel_scope.deadline = trio.current_time() + _GRACE_S
                await self._drained()
                nursery.cancel_scope.cancel()

    async def texts(self) -> AsyncGenerator[str | None, None]:
        """Each message of the client, until the connection closes. None stands for a message that is not text."""
        parts: list[bytes] = []
        text = True
        while True:
            for event in self._protocol.events_received():
                assert isinstance(event, Frame)
                if event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    continue
                if event.opcode is not Opcode.CONT:
                    parts, text = [], event.opcode is Opcode.TEXT
                parts.append(bytes(event.data))
                if event.fin:
                    yield b"".join(parts).decode("utf-8", "replace") if text else None
            if self._protocol.state is not State.OPEN or not await self._receive():
                return

    def send(self, text: bytes) -> None:
        """Send a message. It waits if the client reads slowly. Does nothing on a connection that is closing."""
        if self._protocol.state is State.OPEN and not self.dropped:
            self._protocol.send_text(text)
            self._flush()

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake, after everything that waits."""
        if self._protocol.state is State.OPEN:
            # A reason has at most 123 bytes.
            self._protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
            self._flush()

    @property
    def open(self) -> bool:
        """Whether neither side has begun to close."""
        return self._protocol.state is State.OPEN and not self.dropped

    @property
    def outcome(self) -> str:
        """How the connection ended: the reason for which it was dropped, or the code of its close."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return self.dropped or f"closed {close.code if close is not None else 'without a code'}"

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _receive(self) -> bool:
        """Read once. Returns False if nothing more will come."""
        try:
            data = await self._stream.receive_some(_RECEIVE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        self._heard_s = trio.current_time()
        if not data:
            self.dropped = self.dropped or "the client is gone"
            return False
        self._protocol.receive_data(data)
        self._flush()
        return True

    async def _drained(self) -> None:
        """Wait until what waits has left and the client has answered the close.

        To close a socket that holds unread data resets it, and the client would not see why it was closed.
        """
        while not self.dropped and (self._waiting or self._protocol.close_rcvd is None):
            if not await self._receive():
                return

    # -- sending ------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        try:
            data = b"".join(self._protocol.data_to_send())
        except ProtocolError:
            return
        if data:
            self._out.append(data)
            self._waiting += len(data)
            self._news.set()
        if self._waiting > self._unsent:
            self._drop(f"the client reads too slowly: {self._waiting} bytes wait")

    def _drop(self, why: str) -> None:
        self.dropped = self.dropped or why
        self._scope.cancel()

    async def _write(self) -> None:
        try:
            while True:
                # Together: each call gives way to the other sessions, and the first audio stands behind other events.
                while data := b"".join(self._out):
                    self._out.clear()
                    await self._stream.send_all(data)
                    self._waiting -= len(data)
                self._news = trio.Event()
                await self._news.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._drop("the client is gone")

    async def _ping(self) -> None:
        """A client that vanished without a word would otherwise keep its session until the system notices."""
        while True:
            heard_s = self._heard_s
            await trio.sleep_until(heard_s + _PING_S)
            if self._heard_s > heard_s:
                continue
            if self.open:
                self._protocol.send_ping(b"")
                self._flush()
            await trio.sleep(_PING_S)
            if self._heard_s == heard_s:
                self._drop("the client does not answer")


def _chosen(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The subprotocol of a client that offers any. One that holds a browser's secret is never chosen."""
    return Subprotocol(SPOKEN) if SPOKEN in offered else None
