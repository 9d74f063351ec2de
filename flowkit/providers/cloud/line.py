"""A websocket in a task of its own, so that a cancelled caller is free at once and the goodbye is still said.

The library's reader lives in the scope in which the connection was made. If that is the caller's scope, cancelling the
caller kills the reader first, and a farewell sent in a ``finally`` never arrives. So the connection has its own task,
which shields itself once connected; the caller only calls ``hang_up``, and the task says goodbye within its grace.
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
"""Until a connection stands, where the pipeline file says nothing."""
GRACE_S = 1.0
"""What the goodbye may take."""
_MAX_MESSAGE = 4 * 2**20
"""Bytes in one message; a second of 48 kHz audio in base64 is a thirtieth of it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, as whom. `goodbye`: messages sent before closing; `farewell`: says of a message whether it is the
    server's own last word, for which the closing waits."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    connect_s: float = CONNECT_S
    goodbye: tuple[str, ...] = ()
    farewell: Callable[[str | bytes], bool] = lambda message: True


class Line:
    """One open connection. Made by ``dial``; its methods raise CloudError once it has ended."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: Any = None
        self._leave = trio.Event()
        self.ended = trio.Event()
        """Set when the connection is gone and its task has nothing left to do."""

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
        """The next message. Cancelling loses none."""
        try:
            data: str | bytes = await self._socket.recv()
        except _closed() as exc:
            raise _close_fault(exc) from exc
        return data

    def hang_up(self) -> None:
        """Say goodbye and close, in the background."""
        self._leave.set()

    # -- the connection's own task ----------------------------------------------------------------------------------

    async def run(
        self, reader: Callable[[Line], Awaitable[None]] | None, *, task_status: trio.TaskStatus[Line]
    ) -> None:
        """Connect, then live until hung up or closed from the other side; `reader` reads meanwhile."""
        from websockets.trio.client import connect

        address = self._address
        connecting = connect(
            address.url,
            additional_headers=dict(address.headers),
            open_timeout=address.connect_s,
            close_timeout=GRACE_S / 2,
            compression=None,
            max_size=_MAX_MESSAGE,
            proxy=True if address.url.startswith("wss") else None,
        )
        try:
            with trio.CancelScope() as scope:
                async with _Translated(connecting) as self._socket:
                    scope.shield = True
                    task_status.started(self)
                    await self._live(reader)
                    scope.cancel()  # whatever the library still waits for, nobody else does
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
                # Messages that nobody takes any more would keep the library from reading the answer to the close.
                nursery.start_soon(self._drain)
                await self._socket.aclose()
                nursery.cancel_scope.cancel()

    async def _drain(self) -> None:
        try:
            while True:
                await self._socket.recv()
        except _closed():
            pass  # that is what is waited for

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
            pass  # the other side has left already


async def dial(
    nursery: trio.Nursery, address: Address, reader: Callable[[Line], Awaitable[None]] | None = None
) -> Line:
    """Open a line that lives in `nursery`. With a `reader`, the line ends when that returns; it must not raise.

    Raises:
        CloudError: no connection came about.
    """
    line: Line = await nursery.start(Line(address).run, reader)
    return line


# -- the library's errors in flowkit's words ---------------------------------------------------------------------------


def _closed() -> type[Exception]:
    from websockets.exceptions import ConnectionClosed

    return ConnectionClosed


def _close_fault(exc: Any) -> CloudError:
    """What was received counts; a close that this side began (a message too large, say) is told as what it was."""
    if exc.rcvd is not None:
        return of_close(exc.rcvd.code, exc.rcvd.reason)
    if exc.sent is not None and exc.sent.code != 1000:
        return CloudError(Trouble.PROTOCOL, f"the connection broke the protocol ({exc.sent.code}: {exc.sent.reason})")
    return of_close(1006, "the connection broke")


class _Translated:
    """The connection's context, with what connecting raises as CloudError; what happens inside passes unchanged."""

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
    """Why no connection came about."""
    from websockets import exceptions as ws

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
        if isinstance(cause, EOFError):
            return CloudError(Trouble.NETWORK, "the connection broke before it stood")
        if isinstance(cause, (ws.InvalidMessage, ws.InvalidHandshake)) and not isinstance(cause.__cause__, EOFError):
            return CloudError(Trouble.PROTOCOL, f"the server does not speak websocket: {cause}")
    return network_fault(exc)


def _causes(exc: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while exc is not None and exc not in found:
        found.append(exc)
        if isinstance(exc, BaseExceptionGroup):
            for inner in exc.exceptions:
                found.extend(_causes(inner))
        exc = exc.__cause__ or exc.__context__
    return found


def certificate_fault(exc: ssl.SSLCertVerificationError) -> CloudError:
    """The server's certificate is not believed."""
    return CloudError(
        Trouble.CERTIFICATE,
        f"the server's certificate is not valid: {exc.verify_message or exc.reason}",
        hint="check this machine's clock and certificates, and who answers at that address",
    )


def network_fault(exc: BaseException) -> CloudError:
    """Any other failure to connect, in one line."""
    causes = [cause for cause in _causes(exc) if isinstance(cause, OSError)]
    deepest = causes[-1] if causes else exc
    said = (deepest.strerror if isinstance(deepest, OSError) and deepest.strerror else str(deepest)) or type(
        exc
    ).__name__
    return CloudError(Trouble.NETWORK, f"no connection: {said}")


def refusal(body: bytes, headers: Mapping[str, str]) -> str:
    """What a refusing server says: the message of a JSON body, or that it is HTML, or the text itself."""
    from flowkit.providers.cloud.keys import body_message
    from flowkit.providers.cloud.text import json_object

    text = body.decode(errors="replace").strip()
    if "html" in headers.get("content-type", "") or text[:1] == "<":
        return "an HTML page instead of JSON"
    try:
        return body_message(json_object(text))
    except CloudError:
        return mask(" ".join(text.split()))[:300]
