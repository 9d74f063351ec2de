"""Emulates Groq's streamed chat completions: HTTP/1.1 with keep-alive, rate-limit headers and usage.

It serves both `/openai/v1/...` and `/v1/...`, so it can also stand for any OpenAI-compatible server.
https://console.groq.com/docs/api-reference#chat-create
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import trio

from flowkit.testing.emulators.calls import ChatReply, faulty, finish_of, pieces_of, problem_of
from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.http import JSON, HttpConnection, HttpEmulator, refusal
from flowkit.testing.emulators.server import Seen, reset, until_gone

MODELS = ("llama-3.3-70b-versatile", "llama-3.1-8b-instant")
_SSE = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
_LIMITS = [
    ("x-ratelimit-limit-requests", "1000"),
    ("x-ratelimit-remaining-requests", "999"),
    ("x-ratelimit-reset-requests", "1m26.4s"),
    ("x-ratelimit-remaining-tokens", "11900"),
    ("x-ratelimit-reset-tokens", "500ms"),
]
_BAD_CALL = {
    "error": {
        "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=book{",
        "status_code": 400,
    }
}


def answer(messages: list[dict[str, Any]]) -> str:
    """The default reply to the messages of a request."""
    asked = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    return f"You said: {asked} That is all I know. Ask me something else."


class GroqEmulator(HttpEmulator):
    """An emulator of Groq's chat completions.

    Args:
        reply: makes the reply from the messages of the request. Text, or a ``ChatReply`` with tool calls.
        token_s: time between two tokens, in seconds.
        context: a request with more words is refused. None: no limit.
        more: the arguments of ``Emulator``.
    """

    name = "groq"
    models = MODELS

    def __init__(
        self,
        *,
        reply: Callable[[list[dict[str, Any]]], str | ChatReply] = answer,
        token_s: float = 0.0,
        context: int | None = None,
        owned_by: str = "Groq",
        **more: Any,
    ) -> None:
        super().__init__(owned_by=owned_by, **more)
        self.reply = reply
        self.token_s = token_s
        self.context = context

    def serves(self, seen: Seen) -> bool:
        return seen.path.endswith("/chat/completions")

    def problem(self, seen: Seen) -> tuple[bytes, list[tuple[str, str]]] | None:
        if problem := problem_of(seen.body):
            return refusal(400, str(seen.body.get("model")), problem)
        if self.context is not None and _words(seen) > self.context:
            return _too_long(self.context)
        return None

    async def respond(self, http: HttpConnection, fault: ServerFault, seen: Seen) -> bool:
        if fault is ServerFault.SLOW_ACCEPT:
            await trio.sleep(self.pause_s)
        await http.begin(200, [*_SSE, *_LIMITS])
        if fault is ServerFault.SLOW_FIRST:
            await trio.sleep(self.pause_s)
        reply = self._answered(seen)
        pieces = [_chunk(seen, delta) for delta in pieces_of(reply, whole=fault is ServerFault.CALL_SAME_INDEX)]
        middle = max(1, len(pieces) // 2)
        for place, piece in enumerate(pieces):
            if place == (0 if fault is ServerFault.STALL_FIRST else middle) and not await self._break_off(
                http, fault, piece
            ):
                return False
            for data in self._cut(piece, fault):
                await http.data(data)
                if fault is ServerFault.TRICKLE:
                    await trio.sleep(0.001)
            if self.token_s:
                await trio.sleep(self.token_s)
        if fault is ServerFault.NO_DONE:
            return await http.end()
        if not await self._error(http, fault):
            return False
        for data in self._last(seen, finish_of(reply, fault), len(pieces)):
            await http.data(data)
        return await http.end()

    def _answered(self, seen: Seen) -> ChatReply:
        """The answer. If the last message of the request starts the answer, it is the rest of that."""
        messages = seen.body["messages"]
        goes_on = messages[-1]["role"] == "assistant"
        said = messages[-1]["content"] if goes_on else ""
        reply = self.reply(messages[:-1] if goes_on else messages)
        reply = ChatReply(reply) if isinstance(reply, str) else reply
        calls = reply.calls if seen.body.get("tools") and seen.body.get("tool_choice") != "none" else ()
        return faulty(ChatReply(reply.text.removeprefix(said), calls), seen.fault, messages)

    async def _break_off(self, http: HttpConnection, fault: ServerFault, piece: dict[str, Any]) -> bool:
        """Produce a fault in the middle of an answer. Returns False if the stream has ended."""
        match fault:
            case ServerFault.STALL | ServerFault.STALL_FIRST:
                await until_gone(http.stream)
                return False
            case ServerFault.FIN:
                return False
            case ServerFault.RST:
                reset(http.stream)
                return False
            case ServerFault.BAD_JSON:
                await http.data(b'data: {"choices": [{"del\n\n')
            case ServerFault.WRONG_SCHEMA:
                await http.data(b'data: {"choices": "none"}\n\n')
            case ServerFault.MISSING_FIELD:
                await http.data(b'data: {"id": "1", "model": "m"}\n\n')
            case ServerFault.OVERSIZED:
                # The line has no end: the client has to give up because of its length.
                await http.data(b'data: {"choices": [{"delta": {"content": "' + b"x" * (5 * 2**20))
            case ServerFault.UNKNOWN_TYPE:
                await http.data(b': a comment\n\nevent: ping\ndata: {"choices": []}\n\n')
        return True

    def _cut(self, piece: dict[str, Any], fault: ServerFault) -> list[bytes]:
        """A chunk as bytes, split into the parts that are sent separately."""
        if fault is ServerFault.EXTRA_FIELD:
            piece = piece | {"novelty": {"deep": [1, 2]}, "obfuscation": "xyz"}
        # Escapes are ASCII, so only raw UTF-8 can be split inside a character.
        data = _event(piece, ascii_only=fault is not ServerFault.SPLIT_UTF8)
        size = {ServerFault.SPLIT_UTF8: 1, ServerFault.TRICKLE: 40}.get(fault, len(data))
        return [data[place : place + size] for place in range(0, len(data), size)]

    async def _error(self, http: HttpConnection, fault: ServerFault) -> bool:
        """Send an error in one of three forms, if the fault asks for it. Returns False if nothing follows."""
        error = {"error": {"message": "The model is overloaded", "type": "internal_server_error", "status_code": 503}}
        match fault:
            case ServerFault.ERROR:
                await http.data(_event(error))
            case ServerFault.CALL_REFUSED:
                await http.data(b"event: error\n" + _event(_BAD_CALL))
            case ServerFault.ERROR_EVENT:
                await http.data(b"event: error\n" + _event(error))
            case ServerFault.ERROR_X_GROQ:
                await http.data(_event({"choices": [], "x_groq": {"id": "req_1", "error": "over capacity"}}))
                await http.data(b"data: [DONE]\n\n")
            case _:
                return True
        await http.end()
        return False

    def _last(self, seen: Seen, finish: str, said: int) -> Iterator[bytes]:
        """The end of an answer of `said` tokens, with what it has used: a token for each word of the request."""
        asked = _words(seen)
        usage = {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
            "prompt_tokens_details": {"cached_tokens": 0},
            "total_time": 0.03,
        }
        # OpenAI's servers give it if it is asked for, in a chunk of its own. Groq gives it always, in the last one.
        if (seen.body.get("stream_options") or {}).get("include_usage"):
            yield _event(_chunk(seen, {}, finish))
            yield _event(_chunk(seen, {}) | {"choices": [], "usage": usage})
        else:
            yield _event(_chunk(seen, {}, finish) | {"x_groq": {"id": "req_1", "usage": usage}})
        yield b"data: [DONE]\n\n"


def _words(seen: Seen) -> int:
    return sum(len(str(message.get("content") or "").split()) for message in seen.body["messages"])


def _too_long(context: int) -> tuple[bytes, list[tuple[str, str]]]:
    message = f"This model's maximum context length is {context} tokens. Please reduce the length of the messages."
    error = {"error": {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}}
    return json.dumps(error).encode(), JSON


def _chunk(seen: Seen, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    model = seen.body.get("model")
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}


def _event(piece: dict[str, Any], *, ascii_only: bool = True) -> bytes:
    return b"data: " + json.dumps(piece, ensure_ascii=ascii_only).encode() + b"\n\n"
