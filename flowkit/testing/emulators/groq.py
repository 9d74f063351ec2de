"""Emulates Groq's streamed chat completions: HTTP/1.1 with keep-alive, rate-limit headers and usage.

It serves both `/openai/v1/...` and `/v1/...`, so it can also stand for any OpenAI-compatible server.
https://console.groq.com/docs/api-reference#chat-create
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

import h11
import trio

from flowkit.clock import US_PER_S, wall_us
from flowkit.testing.emulators.calls import ChatReply, faulty, finish_of, pieces_of, problem_of
from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.server import Emulator, Seen, reset, until_gone

MODELS = ("llama-3.3-70b-versatile", "llama-3.1-8b-instant")
_SSE = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
_JSON = [("content-type", "application/json")]
_LIMITS = [
    ("x-ratelimit-limit-requests", "1000"),
    ("x-ratelimit-remaining-requests", "999"),
    ("x-ratelimit-reset-requests", "1m26.4s"),
    ("x-ratelimit-remaining-tokens", "11900"),
    ("x-ratelimit-reset-tokens", "500ms"),
]
_PAGE = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
_STATUS_MESSAGES = {
    400: ("'messages' : minimum number of items is 1", "invalid_request_error"),
    401: ("Invalid API Key", "invalid_api_key"),
    402: ("Payment required", "billing"),
    403: ("Access denied", "forbidden"),
    404: ("The model `{model}` does not exist or you do not have access to it.", "model_not_found"),
    429: ("Rate limit reached for model `{model}`", "rate_limit_exceeded"),
    500: ("Internal Server Error", "internal_server_error"),
    503: ("Service Unavailable", "service_unavailable"),
}
_BAD_CALL = {
    "error": {
        "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=book{",
        "status_code": 400,
    }
}
_TWO_HOURS_S = 7200


def answer(messages: list[dict[str, Any]]) -> str:
    """The default reply to the messages of a request."""
    asked = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    return f"You said: {asked} That is all I know. Ask me something else."


class GroqEmulator(Emulator):
    """An emulator of Groq's chat completions.

    Args:
        reply: makes the reply from the messages of the request. Text, or a ``ChatReply`` with tool calls.
        token_s: time between two tokens, in seconds.
        context: a request with more words is refused. None: no limit.
        more: the arguments of ``Emulator``.
    """

    name = "groq"

    def __init__(
        self,
        *,
        reply: Callable[[list[dict[str, Any]]], str | ChatReply] = answer,
        token_s: float = 0.0,
        context: int | None = None,
        owned_by: str = "Groq",
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.reply = reply
        self.token_s = token_s
        self.context = context
        self.owned_by = owned_by

    async def connection(self, stream: Any) -> None:
        try:
            await self._converse(_Http(stream))
        except h11.ProtocolError:
            pass  # the client closed the connection within a message, or a fault broke the answer off

    async def _converse(self, http: _Http) -> None:
        while (request := await http.request()) is not None:
            seen = _seen(*request)
            self.seen.append(seen)
            try:
                if not await self._answer(http, seen):
                    return
            finally:
                seen.over = True

    async def _answer(self, http: _Http, seen: Seen) -> bool:
        """Answer one request. Returns False if the connection must not be used again."""
        key = seen.headers.get("authorization", "").removeprefix("Bearer ")
        if key in ("", "wrong", "expired"):
            return await http.whole(401, *_refusal(401, "" if key else "missing"))
        if seen.path.endswith("/models"):
            listed = {"object": "list", "data": [_model(name, self.owned_by) for name in MODELS]}
            return await http.whole(200, json.dumps(listed).encode(), _JSON)
        if not isinstance(seen.body, dict) or not seen.path.endswith("/chat/completions"):
            return await http.whole(404, *_refusal(404, "?"))
        model = str(seen.body.get("model"))
        fault = seen.fault = self.faults.choose(key, model)
        if model.startswith("no-such"):
            return await http.whole(404, *_refusal(404, model))
        if problem := problem_of(seen.body):
            return await http.whole(400, *_refusal(400, model, problem))
        if self.context is not None and _words(seen) > self.context:
            return await http.whole(400, *_too_long(self.context))
        return await self._faulty(http, fault, seen) if _is_early(fault) else await self._reply(http, fault, seen)

    async def _faulty(self, http: _Http, fault: ServerFault, seen: Seen) -> bool:
        """Produce a fault instead of an answer. Returns False if the connection must not be used again."""
        match fault:
            case ServerFault.NEVER_ACCEPT:
                await until_gone(http.stream)
            case ServerFault.RST_ACCEPT:
                reset(http.stream)
            case ServerFault.SLOW_LORIS:
                for byte in b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-slow: " + b"z" * 100_000:
                    await http.stream.send_all(bytes([byte]))
                    await trio.sleep(0.02)
            case ServerFault.HTML:
                return await http.whole(200, _PAGE, [("content-type", "text/html")])
            case ServerFault.HTML_502:
                return await http.whole(502, _PAGE, [("content-type", "text/html")])
            case _:
                status = int(fault.value.split("_")[1])
                body, headers = _refusal(status, str(seen.body.get("model")))
                return await http.whole(status, body, [*headers, *_retry_after(fault)])
        return False

    async def _reply(self, http: _Http, fault: ServerFault, seen: Seen) -> bool:
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
        for data in self._last(seen, finish_of(reply, fault)):
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

    async def _break_off(self, http: _Http, fault: ServerFault, piece: dict[str, Any]) -> bool:
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

    async def _error(self, http: _Http, fault: ServerFault) -> bool:
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

    def _last(self, seen: Seen, finish: str) -> Iterator[bytes]:
        usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29, "total_time": 0.03}
        end = _chunk(seen, {}, finish) | {"x_groq": {"id": "req_1", "usage": usage}}
        yield _event(end)
        yield b"data: [DONE]\n\n"


def _is_early(fault: ServerFault) -> bool:
    early = (
        ServerFault.NEVER_ACCEPT,
        ServerFault.RST_ACCEPT,
        ServerFault.SLOW_LORIS,
        ServerFault.HTML,
        ServerFault.HTML_502,
    )
    return fault in early or fault.value.startswith("http_")


def _retry_after(fault: ServerFault) -> list[tuple[str, str]]:
    value = {
        ServerFault.HTTP_429: "1",
        ServerFault.HTTP_429_HOURS: str(_TWO_HOURS_S),
        ServerFault.HTTP_429_DATE: formatdate(wall_us() / US_PER_S + _TWO_HOURS_S, usegmt=True),
    }.get(fault)
    return [("retry-after", value)] if value else []


def _refusal(status: int, model: str, problem: str = "") -> tuple[bytes, list[tuple[str, str]]]:
    message, code = _STATUS_MESSAGES[status]
    error = {
        "error": {"message": problem or message.format(model=model), "type": "invalid_request_error", "code": code}
    }
    return json.dumps(error).encode(), _JSON


def _words(seen: Seen) -> int:
    return sum(len(str(message.get("content") or "").split()) for message in seen.body["messages"])


def _too_long(context: int) -> tuple[bytes, list[tuple[str, str]]]:
    message = f"This model's maximum context length is {context} tokens. Please reduce the length of the messages."
    error = {"error": {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}}
    return json.dumps(error).encode(), _JSON


def _chunk(seen: Seen, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    model = seen.body.get("model")
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}


def _event(piece: dict[str, Any], *, ascii_only: bool = True) -> bytes:
    return b"data: " + json.dumps(piece, ensure_ascii=ascii_only).encode() + b"\n\n"


def _model(name: str, owned_by: str) -> dict[str, str]:
    return {"id": name, "object": "model", "owned_by": owned_by}


def _seen(head: h11.Request, body: bytes) -> Seen:
    headers = {name.decode(): value.decode() for name, value in head.headers}
    try:
        parsed = json.loads(body) if body else None
    except ValueError:
        parsed = body
    return Seen(urlsplit(head.target.decode()).path, headers, body=parsed)


class _Http:
    """One HTTP connection."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._state = h11.Connection(h11.SERVER)

    async def request(self) -> tuple[h11.Request, bytes] | None:
        """The next request and its body; None if the client has closed the connection."""
        if self._state.our_state is h11.DONE:
            self._state.start_next_cycle()
        head, body = None, b""
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                self._state.receive_data(await self.stream.receive_some(65_536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head, body
            else:
                return None

    async def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        await self._send(h11.Response(status_code=status, headers=headers))

    async def data(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def end(self) -> bool:
        await self._send(h11.EndOfMessage())
        return True

    async def whole(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> bool:
        await self.begin(status, [*headers, ("content-length", str(len(body)))])
        await self.data(body)
        return await self.end()

    async def _send(self, event: Any) -> None:
        await self.stream.send_all(self._state.send(event) or b"")
