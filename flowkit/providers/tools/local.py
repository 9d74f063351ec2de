"""Runs tools in this process: each call in a task of its own, and one outcome for each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import trio

from flowkit.errors import ProviderError
from flowkit.messages import CancelTool, Message, ToolCall, ToolOutcome, ToolStatus
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.tools.functions import Function, ToolContext
from flowkit.providers.tools.http import Request
from flowkit.tools import Tools, ToolSpec

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

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._tools: dict[str, Runnable] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Import functions. Raises ConfigError for one that is no tool."""
        declared = self.around.stage.tools if isinstance(self.around.stage, Tools) else ()
        async with AsyncExitStack() as stack:
            for tool in declared:
                if tool.call is not None:
                    self._tools[tool.title] = await trio.to_thread.run_sync(Function, tool)
                elif tool.http is not None:
                    self._tools[tool.title] = request = Request(tool)
                    stack.push_async_callback(request.aclose)
                elif tool.builtin is not None:
                    said = tool.description or "End the conversation, after saying good-bye."
                    self.around.tools.append(ToolSpec(tool.title, said, {"type": "object", "properties": {}}))
            self.around.tools.extend(tool.spec for tool in self._tools.values())
            yield

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
