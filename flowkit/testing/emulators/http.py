"""The base class of emulators that speak HTTP/1.1 with keep-alive: requests, keys, the list of models, and early faults."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
import json
from abc import abstractmethod
from email.utils import formatdate
from typing import Any, ClassVar
from urllib.parse import urlsplit

import h11
import trio

from flowkit.clock import US_PER_S, wall_us
from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.server import Emulator, Seen, reset, until_gone

JSON = [("content-type", "application/json")]
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
_TWO_HOURS_S = 7200


class HttpEmulator(Emulator):
    """Base class of emulators of HTTP services. `owned_by` is what the list of models says of each.

    A subclass sets `models`, and implements ``serves``, ``problem`` and ``respond``.
    """

    models: ClassVar[tuple[str, ...]]

    def __init__(self, *, owned_by: str, **more: Any) -> None:
        super().__init__(**more)
        self.owned_by = owned_by

    @abstractmethod
    def serves(self, seen: Seen) -> bool:
        """Whether the server knows this path, and the body has the right kind."""

    @abstractmethod
    def problem(self, seen: Seen) -> tuple[bytes, list[tuple[str, str]]] | None:
        """Body and headers of the refusal (status 400), if something is wrong with the request."""

    @abstractmethod
    async def respond(self, http: HttpConnection, fault: ServerFault, seen: Seen) -> bool:
        """Answer a request. Returns False if the connection must not be used again."""

    async def connection(self, stream: Any) -> None:
        try:
            await self._converse(HttpConnection(stream))
        except h11.ProtocolError:
            pass  # the client closed the connection within a message, or a fault broke the answer off

    async def _converse(self, http: HttpConnection) -> None:
        while (request := await http.request()) is not None:
            seen = _seen(*request)
            self.seen.append(seen)
            try:
                if not await self._answer(http, seen):
                    return
            finally:
                seen.over = True

    async def _answer(self, http: HttpConnection, seen: Seen) -> bool:
        """Answer one request. Returns False if the connection must not be used again."""
        key = seen.headers.get("authorization", "").removeprefix("Bearer ")
        if key in ("", "wrong", "expired"):
            return await http.whole(401, *refusal(401, "" if key else "missing"))
        if seen.path.endswith("/models"):
            listed = {"object": "list", "data": [_model(name, self.owned_by) for name in self.models]}
            return await http.whole(200, json.dumps(listed).encode(), JSON)
        if not isinstance(seen.body, dict) or not self.serves(seen):
            return await http.whole(404, *refusal(404, "?"))
        model = str(seen.body.get("model"))
        fault = seen.fault = self.faults.choose(key, model)
        if model.startswith("no-such"):
            return await http.whole(404, *refusal(404, model))
        if problem := self.problem(seen):
            return await http.whole(400, *problem)
        return await self._faulty(http, fault, seen) if _is_early(fault) else await self.respond(http, fault, seen)

    async def _faulty(self, http: HttpConnection, fault: ServerFault, seen: Seen) -> bool:
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
                body, headers = refusal(status, str(seen.body.get("model")))
                return await http.whole(status, body, [*headers, *_retry_after(fault)])
        return False


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


def refusal(status: int, model: str, problem: str = "") -> tuple[bytes, list[tuple[str, str]]]:
    """Body and headers of an error."""
    message, code = _STATUS_MESSAGES[status]
    error = {
        "error": {"message": problem or message.format(model=model), "type": "invalid_request_error", "code": code}
    }
    return json.dumps(error).encode(), JSON


def _model(name: str, owned_by: str) -> dict[str, str]:
    return {"id": name, "object": "model", "owned_by": owned_by}


def _seen(head: h11.Request, body: bytes) -> Seen:
    headers = {name.decode(): value.decode() for name, value in head.headers}
    kind = headers.get("content-type", "")
    try:
        parsed = form_of(kind, body) if kind.startswith("multipart/") else json.loads(body) if body else None
    except ValueError:
        parsed = body
    return Seen(urlsplit(head.target.decode()).path, headers, body=parsed)


def form_of(kind: str, body: bytes) -> dict[str, Any]:
    """The fields of a form with content type `kind`; those of a file are bytes."""
    head = f"content-type: {kind}\r\n\r\n".encode()
    message: Any = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields: dict[str, Any] = {}
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        fields[str(name)] = content if part.get_filename() else content.decode()
    return fields


class HttpConnection:
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
