"""Runs tools in this process: each call in a task of its own, and one outcome for each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import trio

from flowkit.errors import ConfigError, ProviderError
from flowkit.messages import CancelTool, Message, ToolCall, ToolOutcome, ToolStatus
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.tools.functions import Function, ToolContext, permit_module
from flowkit.providers.tools.http import Request
from flowkit.providers.tools.mcp.server import Server, permit
from flowkit.tools import Mcp, Tool, Tools, ToolSpec, tool_named

LONGEST = 16_000
"""Characters of an outcome that a model is given. It would read, and be paid for, every one of them."""


class Runnable(Protocol):
    """A tool that can be called."""

    spec: ToolSpec
    stoppable: bool

    async def run(self, arguments: str, context: ToolContext) -> Any:
        """Call it with JSON arguments. What it raises becomes an error outcome."""


class LocalTools(Provider):
    """Python functions, HTTP requests and MCP servers."""

    kind = "tools"
    name = "local"

    options: Tools
    model: Mapping[str, Server]
    """The servers, by what the file says of them."""

    @classmethod
    def resolved(cls, options: Any, stage: Any) -> Any:
        """The tools, which the file declares at its top level."""
        return stage if isinstance(stage, Tools) else Tools()

    @classmethod
    def loads_nothing(cls, options: Any) -> bool:
        return not _servers(options)

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ConfigError for a module that may not be imported and a program that may not be started, ProviderMissing without
        the package mcp."""
        if not isinstance(options, Tools):
            return
        for tool in options.tools:
            if tool.call is not None:
                permit_module(tool.call, options.allowed)
        for where in _servers(options):
            permit(where, options.allowed)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Mapping[str, Server]]:
        """Start the servers, all at the same time. Raises ProviderError for one that does not get ready."""
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                servers = {_key(where): Server(where, nursery, options.allowed) for where in _servers(options)}
                async with trio.open_nursery() as starting:
                    for server in servers.values():
                        starting.start_soon(server.connect)
                yield servers
                for server in servers.values():
                    server.close()
            except Exception as error:  # raised after the nursery, which would wrap it in a group
                failure = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(self.resolved(around, options), around, model)
        self._tools: dict[str, Runnable] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Import functions, and ask servers for their tools. Raises ConfigError for what is no tool."""
        async with AsyncExitStack() as stack:
            for tool in self.options.tools:
                if tool.builtin is not None:
                    said = tool.description or "End the conversation, after saying good-bye."
                    self.around.tools.append(ToolSpec(tool.title, said, {"type": "object", "properties": {}}))
                for runnable in await self._runnable(tool, stack):
                    self._add(runnable, tool)
            self.around.tools.extend(tool.spec for tool in self._tools.values())
            yield

    async def _runnable(self, tool: Tool, stack: AsyncExitStack) -> Sequence[Runnable]:
        """What the model may call by this declaration."""
        if tool.call is not None:
            return [await trio.to_thread.run_sync(Function, tool, self.options.allowed)]
        if tool.http is not None:
            request = Request(tool)
            stack.push_async_callback(request.aclose)
            return [request]
        return await self.model[_key(tool.mcp)].tools(tool.only) if tool.mcp is not None else []

    def _add(self, runnable: Runnable, tool: Tool) -> None:
        name = runnable.spec.name
        if name in self._tools or (tool.mcp is not None and tool_named(self.options.tools, name) is not tool):
            whose = f"one is of {tool.mcp.title}" if tool.mcp else "one is of an mcp server"
            raise ConfigError(
                f"there are two tools with the name {name!r}: {whose}", hint="choose the server's tools with `only`"
            )
        self._tools[name] = runnable

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async with trio.open_nursery() as nursery:
            async for item in fed:
                if isinstance(item, ToolCall):
                    scope = self._scopes[item.id] = trio.CancelScope()  # here: it may be cancelled before its task runs
                    nursery.start_soon(self._run, item, scope, emit)
                elif isinstance(item, CancelTool) and item.id in self._scopes:
                    self._scopes[item.id].cancel()

    async def _run(self, call: ToolCall, scope: trio.CancelScope, emit: Emit) -> None:
        """One call, from beginning to end. A call that is stopped emits nothing: the stage has its outcome already."""
        tool = self._tools.get(call.name)
        with scope:
            # A call that was cancelled before it began must not run at all.
            await trio.lowlevel.checkpoint_if_cancelled()
            if tool is None:
                outcome = ToolOutcome(call.id, ToolStatus.ERROR.value, f"There is no tool {call.name!r}.")
            else:
                if not tool.stoppable:
                    del self._scopes[call.id]  # it has begun, and its result will come
                outcome = await self._outcome(tool, call)
            await emit(outcome)
        self._scopes.pop(call.id, None)

    async def _outcome(self, tool: Runnable, call: ToolCall) -> ToolOutcome:
        context = ToolContext(self.around.session, call.id)
        try:
            status, content = ToolStatus.RESULT, _as_text(await tool.run(call.arguments, context))
        # SystemExit too, because a tool that calls sys.exit must not end the process.
        except (Exception, SystemExit) as error:  # whatever a tool raises is an outcome
            kind = "" if isinstance(error, (ValueError, ProviderError)) else f"{type(error).__name__}: "
            status, content = ToolStatus.ERROR, f"{kind}{error}"
        return ToolOutcome(call.id, status.value, _cut(content))


def _servers(options: Any) -> list[Mcp]:
    """The servers, each once, although it may be named in several places."""
    found = [tool.mcp for tool in options.tools if tool.mcp is not None] if isinstance(options, Tools) else []
    return [where for at, where in enumerate(found) if where not in found[:at]]


def _key(where: Mcp) -> str:
    return where.model_dump_json()


def _as_text(result: Any) -> str:
    """A result as the model reads it: text as it is, all else as JSON. Raises TypeError for what is no JSON."""
    if isinstance(result, str):
        return result
    if hasattr(result, "model_dump"):
        result = result.model_dump(mode="json")
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the tool returned what is no JSON: {error}") from None


def _cut(text: str) -> str:
    text = text.encode(errors="replace").decode()  # half of a surrogate pair can be neither sent nor recorded
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... (cut: {len(text)} characters)"
