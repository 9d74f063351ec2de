"""The transport Streamable HTTP: the SDK's own, with a client that bounds what is read.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
import trio
from mcp.client.streamable_http import streamable_http_client

from flowkit.errors import ProviderError
from flowkit.providers.tools.mcp.bounds import LONGEST, TOO_LONG

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

_CONNECT_S, _SILENT_S = 10.0, 300.0
_DENIED = frozenset({401, 403})


@asynccontextmanager
async def http(url: str, headers: Mapping[str, str]) -> AsyncIterator[TransportStreams]:
    """The messages from and to the server at `url`."""
    # Uncompressed, because what is bounded is what comes over the network.
    given = {**headers, "accept-encoding": "identity"}
    patience = httpx2.Timeout(_CONNECT_S, read=_SILENT_S)
    async with (
        httpx2.AsyncClient(transport=_Bounded(), headers=given, timeout=patience) as client,
        _streams(url, client) as streams,
    ):
        yield streams


def _streams(url: str, client: httpx2.AsyncClient) -> AbstractAsyncContextManager[TransportStreams]:
    return streamable_http_client(url, http_client=client, max_sse_event_size=LONGEST)


class _Bounded(httpx2.AsyncBaseTransport):
    """Cuts off an answer at `LONGEST` bytes. In a stream of events the SDK bounds each of them."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        if encoded or response.status_code in _DENIED:
            await response.aclose()
            why = "a compressed answer" if encoded else f"HTTP {response.status_code}"
            raise ProviderError(f"the server answers with {why}")
        assert isinstance(response.stream, httpx2.AsyncByteStream), "it was asked by an asynchronous client"
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.stream = _Cut(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Cut(httpx2.AsyncByteStream):
    """At most `LONGEST` bytes. Iterating raises StreamError at one more, which the SDK makes the answer's error."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read, pieces = 0, aiter(self._inner)
        async for piece in pieces:
            read += len(piece)
            if read > LONGEST:
                await _unwound(pieces)
                raise httpx2.StreamError(TOO_LONG)
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _unwound(pieces: AsyncIterator[bytes]) -> None:
    """Read on in a cancelled scope. Generators that are only dropped cause a ResourceWarning."""
    with trio.CancelScope() as scope:
        scope.cancel()
        async for _ in pieces:
            pass
