"""A websocket in its own task, so that a cancelled caller returns at once and the connection is still closed properly.

The library's reader task lives in the scope in which the connection was made. If that is the caller's scope, cancelling
the caller cancels the reader too, and a closing message that is sent in a ``finally`` never arrives. So the connection
has its own task, which shields itself once connected. The caller only calls ``hang_up``; the task sends the closing
messages within ``GRACE_S``.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from flowkit.providers.cloud.faults import CloudError, Trouble, of_close, of_status
from flowkit.secrets import mask

CONNECT_S = 5.0
"""Default time limit for opening a connection, in seconds."""
GRACE_S = 1.0
"""Time limit for closing a connection, in seconds."""
_MAX_MESSAGE = 4 * 2**20
"""Largest message in bytes. One second of 48 kHz audio in base64 is a thirtieth of it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, and how to say goodbye.

    `goodbye` are messages to send before closing. If there are any, closing waits for the server's last message: the
    first for which `farewell` returns True.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    connect_s: float = CONNECT_S
    goodbye: tuple[str, ...] = ()
    farewell: Callable[[str | bytes], bool] = lambda message: True


class Line:
    """One open connection, made by ``dial``. ``send`` and ``receive`` raise CloudError after it has ended."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: Any = None
        self._leave = trio.Event()
        self.ended = trio.Event()
        """Set when the connection is closed and its task has ended."""

    @property
    def open(self) -> bool:
        """Whether messages can still be sent."""
        return not self._leave.is_set() and not self.ended.is_set()

    async def send(self, data: str | bytes) -> None:
        """Send one message."""
        try:
            await self._socket.send(data)
        except _closed() as exc:
            raise _close_fault(exc) from exc

    async def receive(self) -> str | bytes:
        """Receive the next message. Cancelling it loses no message."""
        try:
            data: str | bytes = await self._socket.recv()
        except _closed() as exc:
            raise _close_fault(exc) from exc
        return data

    def hang_up(self) -> None:
        """Close the connection properly, in the background."""
        self._leave.set()

    # -- the connection's own task ----------------------------------------------------------------------------------

    async def run(
        self, reader: Callable[[Line], Awaitable[None]] | None, *, task_status: trio.TaskStatus[Line]
    ) -> None:
        """Connect, and keep the connection open until ``hang_up`` is called or `reader` returns. `reader` runs
        meanwhile."""
        from websockets.trio.client import connect

        address = self._address
        connecting = connect(
            address.url,
            additional_headers=dict(address.headers),
            open_timeout=address.connect_s,
            # Half of it, so that the goodbye before it fits into the grace period too.
            close_timeout=GRACE_S / 2,
            compression=None,
            max_size=_MAX_MESSAGE,
            proxy=True if address.url.startswith("wss") else None,
        )
        try:
            with trio.CancelScope() as scope:
                async with _Translated(connecting) as self._socket:
                    # Only from here on: a cancelled caller may still give up connecting.
                    scope.shield = True
                    task_status.started(self)
                    await self._live(reader)
                    scope.cancel()  # do not wait for the library's own closing
        finally:
            self.ended.set()

    async def _live(self, reader: Callable[[Line], Awaitable[None]] | None) -> None:
        async with trio.open_nursery() as nursery:
            if reader is not None:
                nursery.start_soon(self._read, reader)
            await self._leave.wait()
            nursery.cancel_scope.cancel()
        with trio.move_on_after(GRACE_S):
            await self._say_goodbye()
            async with trio.open_nursery() as nursery:
                # Unread messages would keep the library from reading the server's close frame.
                nursery.start_soon(self._drain)
                await self._socket.aclose()
                nursery.cancel_scope.cancel()

    async def _drain(self) -> None:
        try:
            while True:
                await self._socket.recv()
        except _closed():
            pass  # expected

    async def _read(self, reader: Callable[[Line], Awaitable[None]]) -> None:
        await reader(self)
        self._leave.set()

    async def _say_goodbye(self) -> None:
        try:
            for message in self._address.goodbye:
                await self._socket.send(message)
            while self._address.goodbye and not self._address.farewell(await self._socket.recv()):
                pass
        except _closed():
            pass  # the server has closed the connection already


async def dial(
    nursery: trio.Nursery, address: Address, reader: Callable[[Line], Awaitable[None]] | None = None
) -> Line:
    """Open a connection whose task runs in `nursery`. It closes when `reader` returns, if there is one. `reader` must
    not raise.

    Raises:
        CloudError: the connection failed.
    """
    line: Line = await nursery.start(Line(address).run, reader)
    return line


# -- errors of the library as CloudError -------------------------------------------------------------------------------


def _closed() -> type[Exception]:
    from websockets.exceptions import ConnectionClosed

    return ConnectionClosed


def _close_fault(exc: Any) -> CloudError:
    """The error for a closed connection: the code that the server sent, or else the one that this side sent."""
    if exc.rcvd is not None:
        return of_close(exc.rcvd.code, exc.rcvd.reason)
    if exc.sent is not None and exc.sent.code != 1000:
        return CloudError(Trouble.PROTOCOL, f"the connection broke the protocol ({exc.sent.code}: {exc.sent.reason})")
    return of_close(1006, "the connection broke")


class _Translated:
    """The connection's context manager. Errors of connecting become CloudError; errors of the body pass unchanged."""

    def __init__(self, connecting: Any) -> None:
        self._connecting = connecting

    async def __aenter__(self) -> Any:
        try:
            return await self._connecting.__aenter__()
        except Exception as exc:
            raise connect_fault(exc) from exc

    async def __aexit__(self, *details: Any) -> Any:
        return await self._connecting.__aexit__(*details)


def connect_fault(exc: BaseException) -> CloudError:
    """The error for an exception that was raised while connecting."""
    from websockets import exceptions as ws

    # A refusal or a bad certificate says more than the errors that wrap it, so the whole chain is searched for these
    # first.
    chain = list(_causes(exc))
    for cause in chain:
        if isinstance(cause, ws.InvalidStatus):
            response = cause.response
            headers = {name.lower(): value for name, value in response.headers.raw_items()}
            return of_status(response.status_code, refusal(bytes(response.body or b""), headers), headers)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate_fault(cause)
        if isinstance(cause, (TimeoutError, trio.TooSlowError)):
            return CloudError(Trouble.TIMEOUT, "no connection in time")
    for cause in chain:
        if isinstance(cause, (ws.InvalidURI, ValueError)) and not isinstance(cause, OSError):
            return CloudError(Trouble.REQUEST, f"the address cannot be used: {cause}")
        # The library reports a broken connection as an invalid message too; only its cause tells them apart.
        if isinstance(cause, EOFError):
            return CloudError(Trouble.NETWORK, "the connection broke while it was opened")
        if isinstance(cause, (ws.InvalidMessage, ws.InvalidHandshake)) and not isinstance(cause.__cause__, EOFError):
            return CloudError(Trouble.PROTOCOL, f"the server does not speak websocket: {cause}")
    return network_fault(exc)


def _causes(exc: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    # Exceptions may refer to each other in a circle.
    while exc is not None and exc not in found:
        found.append(exc)
        if isinstance(exc, BaseExceptionGroup):
            for inner in exc.exceptions:
                found.extend(_causes(inner))
        exc = exc.__cause__ or exc.__context__
    return found


def certificate_fault(exc: ssl.SSLCertVerificationError) -> CloudError:
    """The error for a certificate that cannot be verified."""
    return CloudError(
        Trouble.CERTIFICATE,
        f"the server's certificate is not valid: {exc.verify_message or exc.reason}",
        hint="check this machine's clock and certificates, and the server's address",
    )


def network_fault(exc: BaseException) -> CloudError:
    """The error for any other failure to connect, with the reason of the deepest OSError."""
    causes = [cause for cause in _causes(exc) if isinstance(cause, OSError)]
    deepest = causes[-1] if causes else exc
    said = (deepest.strerror if isinstance(deepest, OSError) and deepest.strerror else str(deepest)) or type(
        exc
    ).__name__
    return CloudError(Trouble.NETWORK, f"no connection: {said}")


def refusal(body: bytes, headers: Mapping[str, str]) -> str:
    """The reason in the body of an error response: the message of a JSON body, a note that it is HTML, or the text
    itself."""
    from flowkit.providers.cloud.keys import body_message
    from flowkit.providers.cloud.text import json_object

    text = body.decode(errors="replace").strip()
    if "html" in headers.get("content-type", "") or text[:1] == "<":
        return "an HTML page instead of JSON"
    try:
        return body_message(json_object(text))
    except CloudError:
        return mask(" ".join(text.split()))[:300]
