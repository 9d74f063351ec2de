"""HTTP on a Trio stream: reads one request after another, bounded in size, and sends whole answers.

h11 does the parsing. An upgrade to a WebSocket goes on in ``socket``, with the bytes of its request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import trio

MOST_HEAD = 16_384
"""The longest head of a request in bytes: request line and headers."""
MOST_BODY = 65_536
"""The longest body in bytes. Only the request for a client secret has one."""
_RECEIVE = 65_536
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    421: "Misdirected Request",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `headers` have lower-case names; of a name that is given twice the values are joined by commas. `head` is the
    request line and the headers as bytes. `target` is the path with the query, as it was sent."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    head: bytes = b""
    target: str = ""

    @property
    def upgrades(self) -> bool:
        """Whether the client wants a WebSocket."""
        return "websocket" in self.headers.get("upgrade", "").lower()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer. Its connection is closed afterwards unless the client may go on. `code` is the error's, if it is one."""

    status: int
    body: bytes = b""
    type: str = "application/json"
    headers: Sequence[tuple[str, str]] = field(default=())
    code: str = ""


def refusal(status: int, message: str, code: str, kind: str = "invalid_request_error", **headers: str) -> HttpAnswer:
    """An error in the form in which OpenAI's API gives it."""
    error = {"message": message, "type": kind, "code": code, "param": None}
    extra = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return HttpAnswer(status, json_bytes({"error": error}), headers=extra, code=code)


def json_bytes(value: Any) -> bytes:
    """`value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class BadRequest(Exception):
    """The request cannot be read. Raised by ``HttpExchange.request``, with the answer that says why."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class HttpExchange:
    """The HTTP side of a connection. Raises trio.BrokenResourceError if the client is gone."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD)

    async def request(self) -> HttpRequest | None:
        """The next request; None if the client has closed the connection. Raises BadRequest."""
        try:
            head = await self._event()
            if not isinstance(head, h11.Request):
                return None
            body = await self._body()
        except h11.RemoteProtocolError as error:
            code = "request_too_large" if error.error_status_hint == 431 else "malformed_request"
            raise BadRequest(refusal(error.error_status_hint, f"The request is malformed: {error}.", code)) from error
        return _read(head, body)

    async def answer(self, answer: HttpAnswer) -> bool:
        """Send `answer`. Returns whether another request may follow on this connection."""
        headers = [
            ("content-type", answer.type),
            ("content-length", str(len(answer.body))),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            *answer.headers,
        ]
        # If the request could not be read, h11 takes only an answer, and then the connection is over.
        if self._state() not in ("IDLE", "SEND_RESPONSE"):
            return False
        reason = _REASONS.get(answer.status, "")
        response = h11.Response(status_code=answer.status, headers=headers, reason=reason.encode())
        parts = (response, h11.Data(data=answer.body), h11.EndOfMessage())
        await self.stream.send_all(b"".join(self._h11.send(part) or b"" for part in parts))
        if self._state() != "DONE" or str(self._h11.their_state) != "DONE":
            return False
        self._h11.start_next_cycle()
        return True

    @property
    def trailing(self) -> bytes:
        """What came after the request, and belongs to the WebSocket."""
        return bytes(self._h11.trailing_data[0])

    def _state(self) -> str:
        return str(self._h11.our_state)

    async def _event(self) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            # A client that waits for it would send no body.
            if self._h11.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self.stream.send_all(self._h11.send(go_on) or b"")
            self._h11.receive_data(bytes(await self.stream.receive_some(_RECEIVE)))
        return event

    async def _body(self) -> bytes:
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > MOST_BODY:
                raise BadRequest(refusal(413, f"The body has more than {MOST_BODY} bytes.", "request_too_large"))
        return bytes(body)


def _read(request: h11.Request, body: bytes) -> HttpRequest:
    if sum(len(name) + len(value) + 4 for name, value in request.headers) + len(request.target) > MOST_HEAD:
        raise BadRequest(refusal(431, f"The headers have more than {MOST_HEAD} bytes.", "request_too_large"))
    headers: dict[str, str] = {}
    for name, value in ((n.decode("ascii"), v.decode("latin-1")) for n, v in request.headers):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    target = request.target.decode("ascii")
    url = urlsplit(target)
    lines = [b"%s %s HTTP/1.1" % (request.method, request.target)]
    lines += [b"%s: %s" % pair for pair in request.headers.raw_items()]
    head = b"\r\n".join((*lines, b"", b""))
    method = request.method.decode("ascii")
    return HttpRequest(method, url.path, dict(parse_qsl(url.query)), headers, body, head, target)
