"""Tool calls in the emulator of chat completions: how they are streamed, their faults, and which requests are refused.

https://platform.openai.com/docs/guides/function-calling#streaming
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flowkit.testing.emulators.faults import ServerFault

_WORD = re.compile(r"\s*\S+")
_PIECE = 7
"""Characters of arguments in one chunk."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TEXT = "One moment."
_UNKNOWN = "no_such_tool"


class ChatCall(NamedTuple):
    """A tool call of the model. An `id` is made up if there is none."""

    name: str
    arguments: str = "{}"
    id: str = ""


class ChatReply(NamedTuple):
    """What the model answers: text, and then tool calls. A request without tools gets the text alone."""

    text: str = ""
    calls: tuple[ChatCall, ...] = ()


def faulty(reply: ChatReply, fault: ServerFault, messages: Sequence[dict[str, Any]]) -> ChatReply:
    """The reply with the fault, if it is one of a reply's content."""
    calls = tuple(call._replace(id=call.id or f"call_{n}x{len(messages)}") for n, call in enumerate(reply.calls))
    text = reply.text
    match fault:
        case ServerFault.EMPTY:
            return ChatReply()
        case ServerFault.EMPTY_AFTER_CALL if messages[-1]["role"] == "tool":
            return ChatReply()
        case ServerFault.CALL_CUT:
            calls = tuple(call._replace(arguments=call.arguments[: len(call.arguments) // 2]) for call in calls)
        case ServerFault.CALL_JSON:
            calls = tuple(call._replace(arguments=f"{call.arguments[:-1]},,") for call in calls)
        case ServerFault.CALL_UNKNOWN:
            calls = tuple(call._replace(name=_UNKNOWN) for call in calls)
        case ServerFault.CALL_SAME_ID:
            calls = tuple(call._replace(id=calls[0].id) for call in calls)
        case ServerFault.CALL_WITH_TEXT if calls:
            text = text or _TEXT
    return ChatReply(text, calls)


def finish_of(reply: ChatReply, fault: ServerFault) -> str:
    """The finish_reason."""
    if reply.calls:
        return "length" if fault is ServerFault.CALL_CUT else "tool_calls"
    return "stop"


def pieces_of(reply: ChatReply, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """The reply's deltas. `whole`: each call comes in one piece, under index 0."""
    yield {"role": "assistant", "content": "" if reply.text or not reply.calls else None}
    for word in _WORD.findall(reply.text) or ([] if reply.calls else [""]):
        yield {"content": word}
    begun = [_begun(0 if whole else n, call, call.arguments if whole else "") for n, call in enumerate(reply.calls)]
    yield from ({"tool_calls": [piece]} for piece in begun)
    longest = 0 if whole else max((len(call.arguments) for call in reply.calls), default=0)
    for at in range(0, longest, _PIECE):  # side by side, as a server may send them
        rest = [(n, call.arguments[at : at + _PIECE]) for n, call in enumerate(reply.calls)]
        yield {"tool_calls": [{"index": n, "function": {"arguments": piece}} for n, piece in rest if piece]}


def _begun(index: int, call: ChatCall, arguments: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments}
    return {"index": index, "id": call.id, "type": "function", "function": function}


def problem_of(body: dict[str, Any]) -> str:
    """Why servers refuse the request: a tool that is none, or calls and outcomes that do not belong together."""
    for tool in body.get("tools", []):
        function = tool.get("function", {})
        if tool.get("type") != "function" or not _NAME.fullmatch(function.get("name", "")):
            return f"'tools' : {tool} is no function with a name"
        if function.get("parameters", {}).get("type") != "object":
            return f"'tools' : the parameters of {function['name']} are no object"
    if body.get("tool_choice") and not body.get("tools"):
        return "'tool_choice' is only allowed when 'tools' are specified"
    return _problem(body["messages"])


def _problem(messages: list[dict[str, Any]]) -> str:
    awaited: list[str] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in awaited:
                return f"'messages.{place}' : no call has the id {message.get('tool_call_id')!r}"
            awaited.remove(message["tool_call_id"])
            continue
        if awaited:
            return f"'messages.{place}' : the calls {awaited} have no outcome before it"
        calls = message.get("tool_calls") or []
        awaited = [call["id"] for call in calls]
        if not calls and not isinstance(message.get("content"), str):
            return f"'messages.{place}' : has neither content nor tool calls"
        for call in calls:
            if not _NAME.fullmatch(call["function"]["name"]):
                return f"'messages.{place}' : {call['function']['name']!r} is no name of a function"
            if not _is_object(call["function"]["arguments"]):
                return f"'messages.{place}' : the arguments of {call['id']} are no JSON object"
    return f"the calls {awaited} have no outcome" if awaited else ""


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False
