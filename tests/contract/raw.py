"""The third client: bytes on a plain socket, to check that the emulator produces a fault on the wire."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

WITHIN_S = 1.0


@dataclass
class Wire:
    """The result of a raw client.

    `end` is `HTTP 401`, `close 1011`, `eof`, `reset`, `silent`, `ok`, or `not the protocol`. `messages` are the
    messages received, and `headers` those of the response.
    """

    end: str = "ok"
    messages: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def http_post(url: str, path: str, key: str, body: dict[str, Any]) -> Wire:
    """Send one POST request, and read the answer up to the end of the connection."""
    parts = urlsplit(url)
    payload = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
    wire = Wire()
    data = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=WITHIN_S) as connection:
        try:
            connection.sendall(head.encode() + payload)
            while piece := connection.recv(2**20):
                data += piece
                if b"\r\n0\r\n\r\n" in data[-8:]:
                    break
                if data.startswith(b"HTTP/1.1 200") and b"\r\n\r\n" not in data and len(data) > 80:
                    wire.end = "silent"  # a header without end
                    return wire
        except TimeoutError:
            wire.end = "silent"
        except ConnectionResetError:
            wire.end = "reset"
    return _read_http(wire, data)


def _read_http(wire: Wire, data: bytes) -> Wire:
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode(errors="replace").split("\r\n")
    wire.headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
    }
    wire.body = rest
    if not head and wire.end == "ok":
        wire.end = "eof"
    if head and not lines[0].startswith("HTTP/1.1 200"):
        wire.end = f"HTTP {lines[0].split()[1]}"
    elif "html" in wire.headers.get("content-type", ""):
        wire.end = "HTML"
    elif (
        "chunked" in wire.headers.get("transfer-encoding", "") and wire.end == "ok" and not rest.endswith(b"0\r\n\r\n")
    ):
        wire.end = "eof"
    return wire


def websocket(
    url: str, path: str, headers: dict[str, str], say: list[str | bytes], last: Callable[[str], bool]
) -> Wire:
    """Do the handshake, send all messages, and read up to the message for which `last` is true."""
    parts = urlsplit(url)
    wire = Wire()
    state = WSConnection(ConnectionType.CLIENT)
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    with socket.create_connection((parts.hostname, parts.port), timeout=WITHIN_S) as connection:
        try:
            connection.sendall(state.send(Request(host=parts.netloc, target=path, extra_headers=raw)))
            _converse(wire, state, connection, say, last)
        except TimeoutError:
            wire.end = "silent"
        except (ConnectionResetError, BrokenPipeError):
            wire.end = "reset"
        except RemoteProtocolError:
            wire.end = "not the protocol"
    return wire


def _converse(
    wire: Wire, state: WSConnection, connection: socket.socket, say: list[str | bytes], last: Callable[[str], bool]
) -> None:
    text, received = "", 0
    while True:
        data = connection.recv(65_536)
        received += len(data)
        if not data:
            wire.end = "eof"
            return
        if received < 2_000 and len(data) <= 2 and not wire.messages and received > 100:
            wire.end = "silent"  # a handshake a byte at a time, without end
            return
        state.receive_data(data)
        for event in state.events():
            match event:
                case AcceptConnection():
                    for item in say:
                        message = BytesMessage(item) if isinstance(item, bytes) else TextMessage(item)
                        connection.sendall(state.send(message))
                case RejectConnection():
                    wire.end = f"HTTP {event.status_code}"
                    wire.headers = {name.decode().lower(): value.decode() for name, value in event.headers}
                case RejectData():
                    wire.body += event.data
                    if event.body_finished:
                        return
                case TextMessage():
                    text += event.data
                    if event.message_finished:
                        wire.messages.append(text)
                        if last(text):
                            return
                        text = ""
                case CloseConnection():
                    wire.end = f"close {event.code}"
                    return
                case Ping():
                    connection.sendall(state.send(event.response()))
