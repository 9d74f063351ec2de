"""How a server's parent process and its workers talk: JSON lines over a socket pair. Each side asks, and answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

_RECEIVE = 65_536
_AHEAD = 10_000
"""Lines that may wait to be sent: a few for each session."""
Answers = Mapping[str, Callable[[Any], Awaitable[Any]]]
"""What is done for each question, with what it gives along. The result is the answer."""


class LinkLost(Exception):
    """The other process is gone."""


@dataclass(slots=True)
class _Awaited:
    come: trio.Event = field(default_factory=trio.Event)
    values: list[Any] = field(default_factory=list)
    """The answer; nothing if the link was lost."""


class Link:
    """One end. `answers` is what the other side may ask."""

    def __init__(self, stream: trio.abc.Stream, answers: Answers) -> None:
        self._stream = stream
        self._answers = answers
        self._outgoing, self._to_send = trio.open_memory_channel[bytes](_AHEAD)
        self._awaited: dict[int, _Awaited] = {}
        self._asked = 0
        self._lost = False

    async def run(self) -> None:
        """Carry questions and answers until the other process is gone."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                async for line in _lines(self._stream):
                    if "answer" in line:
                        self._answered(line["answer"], line["value"])
                    else:
                        nursery.start_soon(self._answer, line)
                nursery.cancel_scope.cancel()
        finally:
            self._lost = True
            for awaited in self._awaited.values():
                awaited.come.set()

    async def ask(self, what: str, given: Any = None) -> Any:
        """The other side's answer. Raises LinkLost."""
        self._asked += 1
        number, awaited = self._asked, _Awaited()
        self._awaited[number] = awaited
        try:
            self._send(ask=what, given=given, number=number)
            await awaited.come.wait()
        finally:
            self._awaited.pop(number, None)
        if not awaited.values:
            raise LinkLost
        return awaited.values[0]

    def tell(self, what: str, given: Any = None) -> None:
        """Ask, and do not wait for the answer."""
        self._send(ask=what, given=given, number=0)

    def _send(self, **line: Any) -> None:
        if self._lost:
            for awaited in self._awaited.values():
                awaited.come.set()
            return
        self._outgoing.send_nowait(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def _answered(self, number: int, value: Any) -> None:
        # Who asked may have stopped waiting.
        if (awaited := self._awaited.get(number)) is not None:
            awaited.values.append(value)
            awaited.come.set()

    async def _answer(self, line: Mapping[str, Any]) -> None:
        value = await self._answers[line["ask"]](line["given"])
        if line["number"]:
            self._send(answer=line["number"], value=value)

    async def _write(self) -> None:
        try:
            async for line in self._to_send:
                await self._stream.send_all(line)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The reader sees the end of the stream too.
            return


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[dict[str, Any]]:
    rest = b""
    while True:
        try:
            data = await stream.receive_some(_RECEIVE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        if not data:
            return
        *whole, rest = (rest + bytes(data)).split(b"\n")
        for line in whole:
            yield json.loads(line)
