"""Tools, calls and outcomes as the chat completions API has them. llama.cpp takes the same messages in process.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowkit.messages import Ask, ReplyStep
from flowkit.tools import ToolSpec, arguments_of, content_of, plain_name, tools_of


def steps_messages(steps: Iterable[ReplyStep]) -> list[dict[str, Any]]:
    """The steps of a reply: what the assistant wrote and called, and each outcome."""
    return [message for step in steps for message in _step(step)]


def offered_tools(ask: Ask, tools: Iterable[ToolSpec]) -> dict[str, Any]:
    """The keys of a request by which the model gets `tools`, and those that a client offers. Empty without any."""
    given = [_tool(spec) for spec in (*tools, *tools_of(ask.offered))]
    if not given:
        return {}
    if not ask.tools:
        return {"tools": given, "tool_choice": "none"}
    choice, _, name = ask.choice.partition(" ")
    if name:
        return {"tools": given, "tool_choice": {"type": "function", "function": {"name": name}}}
    return {"tools": given, "tool_choice": choice} if choice else {"tools": given}


def _step(step: ReplyStep) -> list[dict[str, Any]]:
    calls = [
        {"id": c.id, "type": "function", "function": {"name": plain_name(c.name), "arguments": arguments_of(c)}}
        for c in step.calls
    ]
    outcomes = [{"role": "tool", "tool_call_id": call.id, "content": content_of(call)} for call in step.calls]
    return [{"role": "assistant", "content": step.text or None, "tool_calls": calls}, *outcomes]


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function}
