"""One of several processes that share a port. ``parent`` starts it, and its standard input is the link to it.

It ends with the parent, whatever becomes of that.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from flowkit import trust
from flowkit.config import Config
from flowkit.errors import FlowkitError
from flowkit.runtime.session import alone
from flowkit.runtime.signals import open_signals
from flowkit.secrets import learn, learn_environment
from flowkit.serve.families import Families, read
from flowkit.serve.link import Link, LinkLost
from flowkit.serve.listening import BoundAddress, Endpoint, shared_listeners
from flowkit.serve.log import to_stderr
from flowkit.serve.observe import Seen
from flowkit.serve.places import PlaceAnswer
from flowkit.serve.server import RealtimeServer, open_server

_SIZE = 8
_LAST_S = 1.0


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """What a worker gets at its start. `bound` are the reserved addresses, and `key` signs client secrets. What is in `secrets`
    must not stand in a log. With `tools` the file may import modules and start programs."""

    config: Config
    endpoint: Endpoint
    variables: Mapping[str, str]
    bound: Sequence[BoundAddress]
    key: bytes
    secrets: frozenset[str]
    tools: bool
    number: int = 0

    def packed(self) -> bytes:
        """As the worker reads it."""
        data = pickle.dumps(self)
        return len(data).to_bytes(_SIZE) + data


class Linked:
    """The coordinator of a worker: it asks the parent."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def take(self, peer: str) -> PlaceAnswer:
        try:
            return PlaceAnswer(await self._link.ask("take", peer))
        except LinkLost:
            return PlaceAnswer.FULL

    def leave(self, peer: str) -> None:
        self._link.tell("leave", peer)

    async def accepting(self, own: bool) -> bool:
        try:
            return bool(await self._link.ask("accepting"))
        except LinkLost:
            return False

    async def families(self, own: Families) -> Families:
        try:
            return read(await self._link.ask("families"))
        except LinkLost:
            return own

    async def running(self, own: list[Seen]) -> list[Seen]:
        try:
            return list(await self._link.ask("running"))
        except LinkLost:
            return own

    async def observed(self, id: str, own: Seen | None) -> Seen | None:
        try:
            return own or await self._link.ask("observed", id)
        except LinkLost:
            return None


def main() -> None:
    """Run the worker whose standard input is its link."""
    link = socket.socket(fileno=os.dup(0))
    # Programs that this process starts must not get hold of the link.
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    size = int.from_bytes(link.recv(_SIZE, socket.MSG_WAITALL))
    work: WorkerTask = pickle.loads(link.recv(size, socket.MSG_WAITALL))
    learn_environment(os.environ)
    learn(*work.secrets)
    if work.tools:
        trust.allow()
    try:
        trio.run(_work, work, link)
    except (FlowkitError, ExceptionGroup) as group:
        error = alone(group)
        if not isinstance(error, FlowkitError):
            raise
        print(f"flowkit: {error}" + f"\n    help: {error.hint}" * bool(error.hint), file=sys.stderr)
        sys.exit(int(error.exit_code))


async def _work(work: WorkerTask, link: socket.socket) -> None:
    async with open_signals() as signals, trio.open_nursery() as nursery:
        drain = trio.Event()
        worker = _Worker(trio.SocketStream(trio.socket.from_stdlib_socket(link)), drain)
        nursery.start_soon(worker.linked, nursery.cancel_scope)
        log = partial(to_stderr, worker=work.number)
        options: dict[str, Any] = {"coordinator": Linked(worker.link), "key": work.key, "log": log}
        async with open_server(work.config, work.endpoint, work.variables, notice=_notice, **options) as server:
            worker.server = server
            signals.in_order = drain.set
            await server.run(shared_listeners(work.bound), drain, lambda: worker.link.tell("ready"))
            await worker.last_words()
        nursery.cancel_scope.cancel()


def _notice(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Worker:
    """What the parent asks of this process. `server` is None while the models are loaded."""

    def __init__(self, stream: trio.abc.Stream, drain: trio.Event) -> None:
        self.server: RealtimeServer | None = None
        self._drain = drain
        self._answers = {
            "accepting": self._accepting, "families": self._families, "drain": self._drained,
            "running": self._running, "observed": self._observed,
        }  # fmt: skip
        self.link = Link(stream, self._answers)

    async def linked(self, scope: trio.CancelScope) -> None:
        """Answer the parent. When it is gone, everything ends at once."""
        await self.link.run()
        scope.cancel()

    async def last_words(self) -> None:
        """Hand over what was counted since the parent asked last."""
        with trio.move_on_after(_LAST_S), suppress(LinkLost):
            await self.link.ask("last", await self._families(None))

    async def _accepting(self, given: Any) -> bool:
        return self.server is not None and self.server.host.accepting

    async def _families(self, given: Any) -> Families:
        return [] if self.server is None else self.server.metrics.families()

    async def _running(self, given: Any) -> list[Seen]:
        return [] if self.server is None else self.server.running.described()

    async def _observed(self, id: str) -> Seen | None:
        return None if self.server is None else self.server.running.observed(id)

    async def _drained(self, given: Any) -> None:
        self._drain.set()
