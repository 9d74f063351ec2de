"""One run of the SDK's client: from the handshake until the server, or the last session, is gone."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, cast

import trio
from mcp import Client, MCPError
from mcp.client._transport import Transport
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, CallToolResult, Implementation, TextContent, Tool

from flowkit.errors import ProviderError
from flowkit.providers.process import GRACE_S
from flowkit.providers.tools.mcp.http import http
from flowkit.providers.tools.mcp.pipes import pipes
from flowkit.tools import Mcp

if TYPE_CHECKING:
    from mcp_types import RequestParamsMeta

START_S = 30.0
"""How long a server may take to start and to list its tools."""
_PAGES = 20
_CLOSED = (CONNECTION_CLOSED, "Connection closed")
"""What the SDK tells everybody who waits when its transport has ended."""
_FORGOTTEN = (INVALID_REQUEST, "Session terminated")
"""What the SDK makes of a 404 for a session: https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management"""
_KEY = "flowkit/idempotency-key"

# Without a handler, Python would print the SDK's messages to standard error, among the lines of a session.
logging.getLogger("mcp").addHandler(logging.NullHandler())


class Connection:
    """A connection to the server `where`. `ready` is set when `tools` are known, or `failure` says why there are none.

    `failure` is None until the connection has ended. `forgotten`: it ended because the server does not know it any more.
    """

    def __init__(self, where: Mcp) -> None:
        self.ready = trio.Event()
        self.tools: dict[str, Tool] = {}
        self.failure: ProviderError | None = None
        self.forgotten = False
        self._where = where
        self._client: Client | None = None
        self._closing = trio.Event()
        self._callers: set[trio.CancelScope] = set()

    async def run(self) -> None:
        """Connect, and stay connected until ``close`` is called or the server is gone. Raises nothing."""
        try:
            await self._run()
            self._end(ProviderError("it was closed"))
        except Exception as error:  # the SDK's transports raise groups of whatever went wrong
            self._end(_as_failure(error))
        except BaseException:
            self._end(ProviderError("it was cancelled"))
            raise

    def close(self) -> None:
        """End it in order."""
        self._closing.set()

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> str:
        """The result of a call as text. Raises ProviderError for an error of the tool, and if the connection ends."""
        scope = trio.CancelScope()
        self._callers.add(scope)
        try:
            with scope:
                return await self._call(name, arguments, key)
        finally:
            self._callers.discard(scope)
        raise self.failure or ProviderError("the connection has ended")

    async def _call(self, name: str, arguments: dict[str, Any], key: str) -> str:
        if self._client is None:
            raise self.failure or ProviderError("the connection has ended")
        try:
            meta = cast("RequestParamsMeta", {_KEY: key})
            result = await self._client.call_tool(name, arguments, meta=meta)
        except MCPError as error:
            if (error.code, error.message) == _FORGOTTEN:
                self.forgotten = True
                self._end(ProviderError("it was started anew"))
                self.close()
            elif (error.code, error.message) == _CLOSED:
                # `run` is about to say why, and then cancels this.
                await trio.sleep(2 * GRACE_S)
            raise ProviderError(error.message) from error
        text = _text(result)
        if result.is_error:
            raise ProviderError(text)
        return text

    async def _run(self) -> None:
        where = self._where
        streams = pipes(where.command, where.env) if where.url is None else http(where.url, where.headers)
        with trio.CancelScope(deadline=trio.current_time() + START_S) as scope:
            client = Client(
                cast(Transport, streams), client_info=Implementation(name="flowkit", version="0"), cache=None
            )
            async with client:
                await self._list(client)
                scope.deadline = float("inf")
                self._client = client
                self.ready.set()
                await self._closing.wait()
        if scope.cancelled_caught:
            raise ProviderError(f"it was not ready within {START_S:.0f} s")

    async def _list(self, client: Client) -> None:
        cursor = None
        for _ in range(_PAGES):
            page = await client.list_tools(cursor=cursor)
            self.tools |= {tool.name: tool for tool in page.tools}
            if (cursor := page.next_cursor) is None:
                return

    def _end(self, failure: ProviderError) -> None:
        self.failure, self._client = self.failure or failure, None
        self.ready.set()
        # The SDK may leave them waiting, if its own tasks were what failed.
        for scope in self._callers:
            scope.cancel()


def _text(result: CallToolResult) -> str:
    """What the model reads of a result: its texts, else its structured content. Pictures and sound are only named."""
    parts = [part.text if isinstance(part, TextContent) else f"({part.type})" for part in result.content]
    if parts or result.structured_content is None:
        return "\n".join(parts)
    return json.dumps(result.structured_content, ensure_ascii=False)


def _as_failure(error: BaseException) -> ProviderError:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, ProviderError) else ProviderError(f"{type(error).__name__}: {error}")
