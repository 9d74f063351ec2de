"""A client of the server over a stream in memory, with websockets' own client protocol, under a clock that jumps."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from flowkit.config import load
from flowkit.runtime.host import open_host
from flowkit.serve.pipeline import served
from flowkit.serve.server import RealtimeServer
from flowkit.serve.variables import SessionVariables
from tests.serve.support import TALK
from tests.virtual import waited_for

TOKEN = "a-token-of-some-length"


def in_time(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run `main` under a clock that jumps, but not while a thread works, such as one that begins a recording."""
    clock = MockClock(autojump_threshold=0.001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", waited_for(clock))
        return trio.run(main, clock=clock)


class Site:
    """A server, and what it has logged."""

    def __init__(self, server: RealtimeServer, nursery: trio.Nursery, logged: list[dict[str, Any]]) -> None:
        self.server = server
        self.logged = logged
        self._nursery = nursery

    def connect(self, peer: str = "127.0.0.1", *, unread: bool = False) -> trio.StapledStream[Any, Any]:
        """The client's end of a new connection. `unread`: nothing leaves the server before the client reads it."""
        client, ours = lockstep_stream_pair() if unread else memory_stream_pair()

        async def serve() -> None:
            await self.server.answer(ours, peer)

        self._nursery.start_soon(serve)
        return client

    async def ask(self, request: str, body: str = "", peer: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
        """Send one request; returns status, headers and body of the answer."""
        stream = self.connect(peer)
        if body:
            request += f"\r\ncontent-length: {len(body)}"
        await stream.send_all(f"{request}\r\n\r\n{body}".encode())
        await stream.send_stream.aclose()
        return _parsed(await _all(stream))


async def _all(stream: Any) -> bytes:
    data = b""
    while more := await stream.receive_some():
        data += more
    return data


def _parsed(data: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def get(path: str, *headers: str) -> str:
    return "\r\n".join((f"GET {path} HTTP/1.1", "host: localhost:8080", *headers))


@asynccontextmanager
async def site(*settings: str, text: str = TALK, trace: Path | None = None, **variables: str) -> AsyncIterator[Site]:
    """A server of a scripted pipeline, with the values that every session has. `trace`: where its one session is recorded."""
    config, plan = served(load("talk.yaml", text=text, overrides=settings))
    values = SessionVariables(config, variables)
    logged: list[dict[str, Any]] = []

    def log(event: str, **fields: Any) -> None:
        logged.append({"event": event, **fields})

    limits = config.top.serve.limits
    async with (
        open_host(config, max_sessions=limits.sessions, max_lag_us=limits.lag, notice=lambda line: None) as host,
        trio.open_nursery() as nursery,
    ):
        server = RealtimeServer(
            host, plan, config.top.serve, "127.0.0.1", log=log, variables=values, traces=lambda: trace,
            recordings=config.top.trace,
        )  # fmt: skip
        yield Site(server, nursery, logged)
        nursery.cancel_scope.cancel()


class Caller:
    """A WebSocket client. `got` has every event, `at_s` when each came, `code` and `reason` are those of the close."""

    def __init__(
        self,
        stream: Any,
        path: str = "/v1/realtime?model=any",
        headers: dict[str, str] | None = None,
        subprotocols: tuple[str, ...] = (),
        host: str = "localhost:8080",
    ) -> None:
        self.stream = stream
        offered = [Subprotocol(name) for name in subprotocols] or None
        self.protocol = ClientProtocol(parse_uri(f"ws://{host}{path}"), max_size=None, subprotocols=offered)
        self.headers = headers or {}
        self.status = 0
        self.got: list[dict[str, Any]] = []
        self.at_s: list[float] = []
        self._parts: list[bytes] = []

    async def open(self) -> bool:
        """The handshake. Returns whether it succeeded; `status` is its answer's."""
        request = self.protocol.connect()
        for name, value in self.headers.items():
            request.headers[name] = value
        self.protocol.send_request(request)
        await self._flush()
        while not self.status:
            await self.read()
        return self.status == 101

    async def send(self, type: str, **fields: Any) -> None:
        await self.send_text(json.dumps({"type": type, **fields}))

    async def send_text(self, text: str) -> None:
        self.protocol.send_text(text.encode())
        await self._flush()

    async def send_binary(self, data: bytes) -> None:
        self.protocol.send_binary(data)
        await self._flush()

    async def say(self, pcm: bytes) -> None:
        """Append sound in real time."""
        for first in range(0, len(pcm), 4_800):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm[first : first + 4_800]).decode())
            await trio.sleep(0.1)

    async def write(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create")

    async def until(self, type: str) -> dict[str, Any]:
        """Read until the next event of this type."""
        seen = len(self.got)
        while True:
            for event in self.got[seen:]:
                if event["type"] == type:
                    return event
            seen = len(self.got)
            assert await self.read(), f"closed before {type}: {self.code} {self.reason}"

    async def until_closed(self) -> int | None:
        while await self.read():
            pass
        return self.code

    def types(self) -> list[str]:
        return [event["type"] for event in self.got]

    @property
    def code(self) -> int | None:
        return self.protocol.close_rcvd.code if self.protocol.close_rcvd is not None else None

    @property
    def reason(self) -> str:
        return self.protocol.close_rcvd.reason if self.protocol.close_rcvd is not None else ""

    async def read(self) -> bool:
        """Read once. Returns False if the connection is closed."""
        try:
            data = await self.stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        if not data:
            self.protocol.receive_eof()
            return False
        self.protocol.receive_data(bytes(data))
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.status = event.status_code
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    self.got.append(json.loads(b"".join(self._parts)))
                    self.at_s.append(trio.current_time())
                    self._parts = []
        await self._flush()
        return True

    async def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            try:
                if data:
                    await self.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


async def caller(site: Site, *, path: str = "/v1/realtime", peer: str = "127.0.0.1", **headers: str) -> Caller:
    """A client that is connected and has its session."""
    made = Caller(site.connect(peer), path, {name.replace("_", "-"): value for name, value in headers.items()})
    assert await made.open(), made.status
    await made.until("session.created")
    return made
