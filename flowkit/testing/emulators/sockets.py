"""Emulators behind a websocket, with the faults that all websocket APIs can have. Uses trio-websocket."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trio
import trio_websocket

from flowkit.clock import US_PER_S, wall_us
from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.server import Emulator, Seen, reset

_STATUS = {
    401: "Not Authorized",
    402: "Insufficient funds",
    403: "Forbidden",
    404: "Not Found",
    429: "Too many requests",
}
_BAD = {
    ServerFault.BAD_JSON: '{"type": "tur',
    ServerFault.WRONG_SCHEMA: "[1, 2, 3]",
    ServerFault.UNKNOWN_TYPE: json.dumps({"type": "novelty", "context_id": "any", "value": 1}),
    ServerFault.OVERSIZED: json.dumps({"type": "Turn", "pad": "x" * (5 * 2**20)}),
}
_REASONS = {
    3005: "Session Cancelled: An error occurred",
    3006: "Invalid Message Type: ?",
    3007: "Input duration violation: 20 ms. Expected between 50 and 1000 ms",
    3008: "Session Expired: Maximum session duration exceeded",
    3009: "Unauthorized Connection: Too many concurrent sessions",
}


class Over(Exception):
    """The connection has ended because of a fault."""


class SocketEmulator(Emulator):
    """An emulator behind a websocket. A subclass implements ``session``."""

    async def connection(self, stream: Any) -> None:
        async with trio.open_nursery() as nursery:
            try:
                request = await trio_websocket.wrap_server_stream(nursery, stream)
            except trio_websocket.HandshakeError:
                return
            seen = _seen(request)
            self.seen.append(seen)
            seen.fault = self.choose(seen)
            try:
                if await self._welcome(request, stream, seen):
                    await self._run(request, stream, seen)
            except Over:
                pass
            finally:
                seen.over = True
            # The library's reader task would wait for the client.
            nursery.cancel_scope.cancel()

    def choose(self, seen: Seen) -> ServerFault:
        """The fault of this connection."""
        return self.faults.choose(seen.headers.get("authorization", ""), seen.query.get("speech_model", ""))

    def key(self, seen: Seen) -> str:
        """The API key of the request."""
        return seen.headers.get("authorization", "").removeprefix("Bearer ")

    async def _welcome(self, request: trio_websocket.WebSocketRequest, stream: Any, seen: Seen) -> bool:
        """Handle faults and keys before the handshake. Returns False if there is no handshake."""
        if self.key(seen) in ("", "wrong", "expired"):
            await request.reject(401, extra_headers=[(b"content-type", b"text/plain")], body=b"Not Authorized")
            return False
        match seen.fault:
            case ServerFault.SLOW_ACCEPT:
                await trio.sleep(self.pause_s)
            case ServerFault.NEVER_ACCEPT:
                await trio.sleep_forever()
            case ServerFault.RST_ACCEPT:
                reset(stream)
                raise Over
            case ServerFault.SLOW_LORIS:
                for byte in b"HTTP/1.1 101 Switching Protocols\r\nx-slow: " + b"z" * 100_000:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.02)
            case ServerFault.HTML | ServerFault.HTML_502:
                status = 200 if seen.fault is ServerFault.HTML else 502
                page = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"
                await request.reject(status, extra_headers=[(b"content-type", b"text/html")], body=page)
                return False
            case fault if fault.value.startswith("http_"):
                await _reject(request, fault)
                return False
        return True

    async def _run(self, request: trio_websocket.WebSocketRequest, stream: Any, seen: Seen) -> None:
        socket = await request.accept()
        talk = Talk(socket, stream, seen, self.pause_s)
        try:
            await self.session(talk)
        except trio_websocket.ConnectionClosed:
            raise Over from None

    async def session(self, talk: Talk) -> None:
        """Answer an accepted connection."""
        raise NotImplementedError


class Talk:
    """An accepted connection."""

    def __init__(self, socket: trio_websocket.WebSocketConnection, stream: Any, seen: Seen, pause_s: float) -> None:
        self.seen = seen
        self.fault = seen.fault
        self.pause_s = pause_s
        self._socket = socket
        self._stream = stream

    async def hear(self) -> Any:
        """Receive the next message: decoded JSON, or bytes."""
        data = await self._socket.get_message()
        said = json.loads(data) if isinstance(data, str) else data
        self.seen.messages.append(len(said) if isinstance(said, bytes) else said)
        return said

    async def say(self, message: dict[str, Any]) -> None:
        """Send one message as JSON."""
        if self.fault is ServerFault.EXTRA_FIELD:
            message = message | {"novelty": {"deep": [1, 2]}}
        await self._socket.send_message(json.dumps(message))

    async def raw(self, text: str) -> None:
        """Send text that need not be JSON."""
        await self._socket.send_message(text)

    async def close(self, code: int, reason: str = "") -> None:
        """Close the websocket with a close frame."""
        await self._socket.aclose(code, reason)

    async def meet(self, *, error: Callable[[], dict[str, Any]], first: bool) -> None:
        """Produce the connection's fault, if this is its place. Raises Over if it ends the connection.

        Args:
            error: makes the protocol's error message.
            first: True before the first useful item, False in the middle of an answer.
        """
        fault = self.fault
        if first:
            if fault is ServerFault.SLOW_FIRST:
                await trio.sleep(self.pause_s)
            elif fault is ServerFault.STALL_FIRST:
                await self._silence()
            return
        if fault is ServerFault.STALL:
            await self._silence()
        elif fault in (ServerFault.FIN, ServerFault.CLOSE_1006):
            await self._hang_up()
        elif fault is ServerFault.RST:
            reset(self._stream)
            raise Over
        elif fault.value.startswith("close_"):
            code = int(fault.value.split("_")[1])
            await self.close(code, _REASONS.get(code, "as the script wants"))
            raise Over
        elif fault in _BAD:
            await self.raw(_BAD[fault])
        elif fault is ServerFault.ERROR:
            await self.say(error())

    async def _hang_up(self) -> None:
        """Close the connection without a close frame, and read on until the client closes it too.

        If data came for a closed socket, the system would reset the connection, and the client might see that instead
        of the end.
        """
        if not isinstance(self._stream, trio.SocketStream):
            await self._stream.aclose()  # TLS has no end in one direction
            raise Over
        await self._stream.send_eof()
        await self._silence()

    async def _silence(self) -> None:
        while True:
            await self.hear()


async def _reject(request: trio_websocket.WebSocketRequest, fault: ServerFault) -> None:
    status = int(fault.value.split("_")[1])
    waits = {
        ServerFault.HTTP_429: "1",
        ServerFault.HTTP_429_HOURS: "7200",
        ServerFault.HTTP_429_DATE: formatdate(wall_us() / US_PER_S + 7200, usegmt=True),
    }
    headers = [(b"content-type", b"application/json")]
    if fault in waits:
        headers.append((b"retry-after", waits[fault].encode()))
    body = json.dumps({"error": _STATUS.get(status, "Server error")}).encode()
    await request.reject(status, extra_headers=headers, body=body)


def _seen(request: trio_websocket.WebSocketRequest) -> Seen:
    headers = {name.decode().lower(): value.decode() for name, value in request.headers}
    parts = urlsplit(request.path)
    return Seen(parts.path, headers, dict(parse_qsl(parts.query)))
