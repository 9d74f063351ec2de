"""A server that all sessions of a host use. A call after it has gone starts it again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import trio

from flowkit import trust
from flowkit.errors import ConfigError, ProviderError, ProviderMissing
from flowkit.providers.loading import imported
from flowkit.providers.tools.functions import ToolContext
from flowkit.tools import Mcp, ToolSpec, plain_name

if TYPE_CHECKING:
    from flowkit.providers.tools.mcp.connection import Connection

INSTALL = "pip install 'flowkit-voice[mcp]'"


def permit(where: Mcp, allowed: Collection[str] = ()) -> None:
    """Raises ProviderMissing without the SDK, and ConfigError for a program that may not be started. `allowed`: what its host
    allows."""
    if find_spec("mcp") is None:
        raise ProviderMissing(f"{where.title}: the package mcp is not installed", hint=INSTALL)
    if where.command and not trust.starts(where.command[0], allowed):
        program = where.command[0]
        raise ConfigError(f"{where.title}: {program!r} may not be started", hint=trust.hint_to_start(program))


class Server:
    """The server `where`, whose connections run in `nursery`."""

    def __init__(self, where: Mcp, nursery: trio.Nursery, allowed: Collection[str] = ()) -> None:
        permit(where, allowed)
        self.title = where.title
        self._where = where
        self._nursery = nursery
        self._connection: Connection | None = None

    async def connect(self) -> Connection:
        """The connection, made now if there is none. Raises ProviderError if there can be none."""
        # In a thread, because it takes a second. Then it is there, and importing it does nothing.
        await imported("flowkit.providers.tools.mcp.connection")
        from flowkit.providers.tools.mcp.connection import Connection

        connection = self._connection
        if connection is None or connection.failure is not None:
            connection = self._connection = Connection(self._where)
            self._nursery.start_soon(connection.run, name=self.title)
        await connection.ready.wait()
        if connection.failure is not None:
            raise self._failed(connection.failure)
        return connection

    def close(self) -> None:
        """End the connection in order."""
        if self._connection is not None:
            self._connection.close()

    async def tools(self, only: Iterable[str]) -> list[ServerTool]:
        """Its tools, or those with the names `only`. Raises ConfigError for a name that it does not have."""
        found = (await self.connect()).tools
        names = list(only) or list(found)
        if missing := [name for name in names if name not in found]:
            raise ConfigError(
                f"{self.title} has no tool {missing[0]!r}", hint=f"its tools: {', '.join(found) or 'none'}"
            )
        return [
            ServerTool(
                self, name, ToolSpec(plain_name(name), found[name].description or "", dict(found[name].input_schema))
            )
            for name in names
        ]

    async def call(self, name: str, arguments: str, context: ToolContext) -> str:
        """The result of a call. Raises ProviderError for an error of the tool, and if the server is gone."""
        given = json.loads(arguments or "{}")
        for last in (False, True):
            connection = await self.connect()
            try:
                return await connection.call(name, given, context.key)
            except ProviderError as error:
                # A server that has forgotten the connection has not called the tool, so the call is made again.
                if last or not connection.forgotten:
                    raise (self._failed(error) if connection.failure is not None else error) from error.__cause__
        raise AssertionError("the second try returns or raises")

    def _failed(self, why: ProviderError) -> ProviderError:
        return ProviderError(f"{self.title}: {why}")


class ServerTool:
    """A tool of a server."""

    stoppable = True

    def __init__(self, server: Server, name: str, spec: ToolSpec) -> None:
        self.spec = spec
        self._server = server
        self._name = name

    async def run(self, arguments: str, context: ToolContext) -> str:
        """Call it."""
        return await self._server.call(self._name, arguments, context)
