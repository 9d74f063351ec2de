"""One client: its socket, its protocol and its session, from the handshake to the end of all three."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

import trio

from flowkit.clock import US_PER_S
from flowkit.config.serve import Serve
from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.errors import FlowkitError, Refused
from flowkit.messages import Fault, Respond
from flowkit.plan.graph import Plan
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.host import Host
from flowkit.runtime.remote import Remote
from flowkit.runtime.session import SessionOutcome
from flowkit.serve.log import Log
from flowkit.serve.metrics import Metrics
from flowkit.serve.observe import Running, RunningSessions
from flowkit.serve.orders import Order
from flowkit.serve.socket import GOING_AWAY, INTERNAL, NORMAL, POLICY, TRY_AGAIN, Socket

LEAVING = "the server is shutting down"
_LAST = "\0"
"""Stands for the end of a client's messages. None of them is JSON."""
HUNG_UP = "hung_up"
"""Why a session ends whose client has said that it goes."""


class Parting(Enum):
    """How far the agent has taken leave of a client, when the server shuts down."""

    STAYS = auto()
    ASKED = auto()
    """The session is to say the goodbye. While the user speaks it waits."""
    SAYS = auto()


class ClientProtocol(Protocol):
    """What a client speaks: its messages and the session's rows in, messages and orders out. No I/O."""

    @property
    def ready(self) -> bool:
        """Whether the client may have its session."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The values of `{{name}}` in its session."""

    @property
    def over(self) -> bool:
        """Whether the client has said that it goes."""

    @property
    def broken(self) -> str:
        """Why the connection must be closed; empty if it need not."""

    @property
    def replying(self) -> bool:
        """Whether the agent says something, or is about to."""

    @property
    def ordering(self) -> bool:
        """Whether there are orders."""

    def begin(self) -> None:
        """The session has begun."""

    def received(self, text: str | None, now_us: int) -> None:
        """Handle a message, at session time `now_us`. None: one that is not text."""

    def observed(self, rows: Iterable[Row]) -> None:
        """Handle what the session has done."""

    def failed(self, message: str) -> None:
        """The session ends, and not because the client wants it to."""

    def events(self) -> list[bytes]:
        """The new messages for the client."""

    def orders(self) -> list[Order]:
        """The new orders for the session."""


@dataclass(slots=True)
class Shop:
    """What the connections of a server share. `running` are their sessions. `draining` is set when no reply is begun any more."""

    host: Host
    plan: Plan
    options: Serve
    metrics: Metrics
    log: Log
    running: RunningSessions = field(default_factory=RunningSessions)
    draining: trio.Event = field(default_factory=trio.Event)


class ClientConnection(Observer):
    """Carries one session. `id` names it, `protocol` is what its client speaks, and `trace` is where it is recorded."""

    def __init__(
        self,
        shop: Shop,
        socket: Socket,
        id: str,
        protocol: ClientProtocol,
        trace: Path | None,
    ) -> None:
        self._shop = shop
        self._socket = socket
        self._id = id
        self._trace = trace
        self._protocol = protocol
        self._ready_s = 0.0
        self._remote = Remote()
        self._clock = SessionClock()
        self._due = trio.Event()
        """Set when the session's own rows have led to orders, which must not be carried out within its step."""
        self._busy = False
        self._parting = Parting.STAYS
        self._farewell: list[Order] = []

    async def run(self) -> None:
        """Run to the end of the session or of the connection, whichever comes first. Then both are over."""
        self._shop.log("session began", session=self._id)
        await self._socket.run(self._talk)
        self._shop.log("session ended", session=self._id, how=self._socket.outcome)
        if self._socket.dropped:
            self._shop.metrics.drops.labels(self._socket.dropped.partition(":")[0]).inc()

    async def _talk(self) -> None:
        async with aclosing(self._socket.texts()) as texts, trio.open_nursery() as nursery:
            if not await self._introduced(texts):
                return
            self._ready_s = trio.current_time()
            nursery.start_soon(self._run_session, nursery)
            with trio.move_on_after(self._shop.options.limits.handshake / US_PER_S):
                await self._remote.begun.wait()
            self._protocol.begin()
            self._carry_out()
            nursery.start_soon(self._carry_out_later)
            nursery.start_soon(self._drain)
            await self._listen(texts)
            # The client is gone. The session ends in order, so that its recording is whole.
            self._remote.close(HUNG_UP if self._protocol.over else "closed")

    async def _introduced(self, texts: AsyncIterator[str | None]) -> bool:
        """Whether the client has said what its session needs, in time. If not, its connection is closed with the reason."""
        with trio.move_on_after(self._shop.options.limits.handshake / US_PER_S) as limit:
            while not self._decided() and (text := await anext(texts, _LAST)) is not _LAST:
                self._protocol.received(text, 0)
        if why := "the stream did not start in time" if limit.cancelled_caught else self._protocol.broken:
            self._refuse(why)
        return self._protocol.ready

    def _decided(self) -> bool:
        return self._protocol.ready or bool(self._protocol.broken)

    def _refuse(self, why: str) -> None:
        self._shop.log("client refused", session=self._id, why=why)
        self._socket.close(POLICY, why)

    async def _listen(self, texts: AsyncIterator[str | None]) -> None:
        idle_s = self._shop.options.limits.idle / US_PER_S
        with trio.CancelScope(deadline=trio.current_time() + idle_s) as scope:
            async for text in texts:
                scope.deadline = trio.current_time() + idle_s
                self._protocol.received(text, self._clock.now_us())
                self._carry_out()
                if self._protocol.broken:
                    self._refuse(self._protocol.broken)
                if self._protocol.over:
                    break
        if scope.cancelled_caught:
            self._socket.close(POLICY, "nothing was sent for too long (serve.limits.idle)")

    # -- the session --------------------------------------------------------------------------------------------------

    async def _run_session(self, nursery: trio.Nursery) -> None:
        """Run the session. When it ends, the connection is closed with its reason."""
        shop, recording = self._shop, "" if self._trace is None else self._trace.name
        running = Running(self._id, shop.plan, self._clock, recording)
        try:
            with shop.running.holding(running):
                outcome = await shop.host.run_session(
                    shop.plan, name=self._id, trace=self._trace, observers=(self, running), started=running.started,
                    clock=self._clock, remote=self._remote, variables=self._protocol.variables,
                )  # fmt: skip
        except Refused:
            shop.metrics.refused.labels("server_busy").inc()
            self._end(TRY_AGAIN, "the server takes no other session", "The server takes no other session now.")
        except FlowkitError as error:
            shop.log("session failed", session=self._id, error=type(error).__name__)
            self._end(INTERNAL, "the session could not begin", "The session could not begin.")
        else:
            loading_us = self._clock.began_us(self._ready_s)
            shop.metrics.session_over(outcome.figures.report(), loading_us)
            self._ended(outcome)
        nursery.cancel_scope.cancel()

    def _ended(self, outcome: SessionOutcome) -> None:
        if outcome.reason.startswith("failed"):
            self._shop.log("session failed", session=self._id, error=type(outcome.error).__name__)
            self._end(INTERNAL, "the session failed", "The session failed.")
        elif outcome.reason == "closed":
            self._end(GOING_AWAY, LEAVING)
        else:
            self._end(NORMAL, outcome.reason)

    def _end(self, code: int, reason: str, message: str = "") -> None:
        if message:
            self._protocol.failed(message)
            self._flush()
        self._socket.close(code, reason)

    def at_once(self, rows: list[Row]) -> None:
        """The session has done something."""
        self._protocol.observed(rows)
        for row in rows:
            if type(row.message) is Fault:
                self._shop.metrics.faults.labels(row.message.stage).inc()
        self._flush()
        if self._shop.draining.is_set():
            self._leave()
        if (self._protocol.ordering or self._farewell) and not self._busy:
            self._due.set()

    async def _carry_out_later(self) -> None:
        while True:
            await self._due.wait()
            self._due = trio.Event()
            self._carry_out()

    def _carry_out(self) -> None:
        """Carry out the orders, and those that they lead to."""
        self._busy = True
        while orders := self._protocol.orders() + self._farewell:
            self._farewell = []
            for to, message in orders:
                if to == "mic":
                    self._remote.push(message)
                else:
                    self._remote.tell(to, message)
        self._busy = False
        self._flush()

    def _flush(self) -> None:
        for event in self._protocol.events():
            self._socket.send(event)

    # -- ending -------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        await self._shop.draining.wait()
        self._leave()
        self._due.set()

    def _leave(self) -> None:
        """Say the goodbye, then close the connection. Each waits for a reply that is under way: this is called again when something
        has happened."""
        goodbye = self._shop.options.goodbye
        if self._protocol.replying:
            if self._parting is Parting.ASKED:
                self._parting = Parting.SAYS
        elif self._parting is Parting.STAYS and goodbye is not None:
            self._parting = Parting.ASKED
            self._farewell.append(Order("gate", Respond(farewell=goodbye)))
        elif self._parting is not Parting.ASKED and self._socket.open:
            self._socket.close(GOING_AWAY, LEAVING)
