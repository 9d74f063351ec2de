"""Where a server listens: its addresses, its certificate, and how several processes share one port."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import trio

from flowkit.errors import UsageError

_BACKLOG = 1_024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: a name or an IP address, and a port (0: any that is free). With `certfile`, it speaks TLS; `keyfile`
    is the certificate's key, unless that is in the same file. Both are PEM."""

    host: str = "127.0.0.1"
    port: int = 0
    certfile: str | None = None
    keyfile: str | None = None

    def url(self, port: int) -> str:
        """The URL of the server, which has got this port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certfile else 'http'}://{host}:{port}"

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, if there is a certificate. Raises UsageError."""
        if not self.certfile:
            if self.keyfile:
                raise UsageError("--keyfile is the key of a certificate; give --certfile too")
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.certfile, self.keyfile)
        except OSError as error:  # also what ssl raises for a file that is none
            raise UsageError(f"the certificate cannot be read: {error.strerror or error}") from error
        return context

    async def listeners(self) -> list[trio.SocketListener]:
        """Listen, for one process alone. Raises UsageError."""
        try:
            return await trio.open_tcp_listeners(self.port, host=self.host)
        except OSError as error:
            raise self._taken(error) from error

    def reserve(self, stack: ExitStack) -> Sequence[BoundAddress]:
        """Bind the port for several processes, without listening: nobody else gets it while `stack` is open, and
        ``shared_listeners`` can listen there. Raises UsageError."""
        bound: list[BoundAddress] = []
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, *_, (ip, port, *rest) in found:
                held = stack.enter_context(_socket(family))
                # All addresses of a name have the same port.
                held.bind((ip, port or (bound[0].port if bound else 0), *rest))
                # Not earlier: a server that shares its port in the same way would not be noticed.
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                bound.append(BoundAddress(family, held.getsockname()))
        except OSError as error:
            raise self._taken(error) from error
        return bound

    def _taken(self, error: OSError) -> UsageError:
        return UsageError(f"cannot listen on {self.host}:{self.port}: {error.strerror or error}")


@dataclass(frozen=True, slots=True)
class BoundAddress:
    """One address that is bound, as the socket module has it."""

    family: int
    name: tuple[Any, ...]

    @property
    def port(self) -> int:
        return int(self.name[1])


def shared_listeners(addresses: Iterable[BoundAddress]) -> list[trio.SocketListener]:
    """Listen at reserved addresses. Each process gets a share of the connections."""
    listeners = []
    for address in addresses:
        one = _socket(address.family)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(address.name)
        one.listen(_BACKLOG)
        listeners.append(trio.SocketListener(trio.socket.from_stdlib_socket(one)))
    return listeners


def _socket(family: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return one
