"""The calls of many sessions that wait for one model.

A model serves `parallel` calls at a time. The others wait in line: the sessions take turns, and the calls of one session
keep their order, so a session with many calls does not hold up the others. The line is bounded. A call that finds it
full fails at once, so that failover can ask another model.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.providers.base import Surroundings
from flowkit.providers.loading import GRACE_S

S = TypeVar("S")
R = TypeVar("R")

WAITED = "model wait"
"""Name of an event: a call has waited for its model. The detail ends with ``waited_us=`` and how long."""


class SharedOptions(opt.Options):
    """The options of a model that sessions share."""

    parallel: int = Field(default=1, ge=1, le=64)
    """Calls that it serves at a time. More than one takes more memory and more cores. Further calls wait, and sessions take
    turns."""
    waiting: int = Field(default=100, ge=0, le=10_000)
    """Calls that may wait, of all sessions together. If more come, they fail, and the next provider of `failover` is
    asked."""


class Waitlist(Generic[S]):
    """Gives calls a server each: a copy of the model, or whatever else serves one call at a time.

    Args:
        title: Names the model in errors, such as ``llm llamacpp``.
        servers: The servers.
        waiting: Calls that may wait.
    """

    def __init__(self, title: str, servers: Sequence[S], waiting: int) -> None:
        self._title = title
        self._servers = servers
        self._free = list(servers)
        self._most = waiting
        self._waiting: OrderedDict[str, deque[_Ticket[S]]] = OrderedDict()
        """By session, the session whose turn is next first. Sessions without waiting calls are not in it."""
        self._all_free = trio.Event()

    @property
    def free(self) -> bool:
        """Whether a call would not have to wait."""
        return bool(self._free)

    async def take(self, around: Surroundings) -> S:
        """Wait for a server. Give it back with ``give_back``. Raises ProviderError if too many calls wait already."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._free:
            return self._free.pop()
        if sum(map(len, self._waiting.values())) >= self._most:
            raise ProviderError(
                f"{self._title}: busy, and {self._most} calls wait already",
                hint="raise `parallel`, or let the host take fewer sessions with `max_sessions`",
            )
        began_us = around.now_us()
        server = await self._wait(around.session)
        now_us = around.now_us()
        around.event(now_us, WAITED, f"{self._title}: waited_us={now_us - began_us}")
        return server

    async def _wait(self, session: str) -> S:
        ticket = _Ticket[S]()
        self._waiting.setdefault(session, deque()).append(ticket)
        try:
            await ticket.called.wait()
        except trio.Cancelled:
            # A call that is cancelled is still in line until it runs again, so it may have got a server meanwhile.
            if ticket.server is None:
                self._leave(session, ticket)
            else:
                if session in self._waiting:
                    # Its session has not had its turn.
                    self._waiting.move_to_end(session, last=False)
                self.give_back(ticket.server)
            raise
        assert ticket.server is not None, "set before the call"
        return ticket.server

    def _leave(self, session: str, ticket: _Ticket[S]) -> None:
        tickets = self._waiting[session]
        tickets.remove(ticket)
        if not tickets:
            del self._waiting[session]

    def give_back(self, server: S) -> None:
        """Give a server back. The next call gets it."""
        if not self._waiting:
            self._free.append(server)
            if len(self._free) == len(self._servers):
                self._all_free.set()
                self._all_free = trio.Event()
            return
        session, tickets = self._waiting.popitem(last=False)
        ticket = tickets.popleft()
        if tickets:
            # Behind all other sessions.
            self._waiting[session] = tickets
        ticket.server = server
        ticket.called.set()

    @asynccontextmanager
    async def place(self, around: Surroundings) -> AsyncIterator[S]:
        """A server for as long as the body runs. Raises ProviderError as ``take`` does."""
        server = await self.take(around)
        try:
            yield server
        finally:
            self.give_back(server)

    async def in_thread(self, around: Surroundings, work: Callable[[S], R]) -> R:
        """Run `work` with a server in a thread. A cancelled call ends at once; the server is busy until the thread has
        ended."""
        seat = _Seat(self, around)
        return await trio.to_thread.run_sync(lambda: work(seat.server), limiter=seat, abandon_on_cancel=True)  # type: ignore[arg-type]

    async def settled(self) -> bool:
        """Wait until no server is in use, not even by the thread of a cancelled call. Returns False if one still is after
        ``GRACE_S``."""
        # Also after a cancellation, a model must not be closed while a thread computes with it.
        with trio.move_on_after(GRACE_S, shield=True):
            while len(self._free) < len(self._servers):
                await self._all_free.wait()
            return True
        return False


class _Ticket(Generic[S]):
    """A call that waits. `called` is set when it has got a server."""

    def __init__(self) -> None:
        self.called = trio.Event()
        self.server: S | None = None


class _Seat(Generic[S]):
    """A server for one thread, in the form of the limiter that Trio asks before it starts a thread and after it ends."""

    server: S

    def __init__(self, line: Waitlist[S], around: Surroundings) -> None:
        self._waitlist = line
        self._around = around

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        self.server = await self._waitlist.take(self._around)

    def release_on_behalf_of(self, borrower: object) -> None:
        self._waitlist.give_back(self.server)
