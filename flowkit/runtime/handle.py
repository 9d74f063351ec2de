"""A running session as a program sees it: it takes messages, ends, and says how it went."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.errors import SessionOver
from flowkit.figures.live import LiveFigures
from flowkit.figures.records import TurnRecord
from flowkit.figures.report import TurnReport
from flowkit.messages import StopReply, Typed
from flowkit.runtime.pump import TrioPump
from flowkit.runtime.remote import Remote
from flowkit.runtime.session import SessionOutcome, alone, cause


class Session(Remote):
    """A session that runs in the background. Made by ``Host.session``.

    What is passed to it is recorded, so a replay has it too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.awaited = AwaitedTurns()
        self._outcome: SessionOutcome | None = None
        self._over = trio.Event()

    def type(self, text: str) -> None:
        """The user says `text`, as if it had been typed. It is answered, and it interrupts a reply."""
        self.tell("gate", Typed(text))

    def stop(self) -> None:
        """Give up the reply that is under way."""
        self.tell("gate", StopReply())

    async def reply(self) -> TurnReport:
        """Wait until the agent has replied and it is nobody's turn. Returns the turn: `user` and `agent` are its texts,
        `end_reason` is ``completed``, ``interrupted``, ``error`` or ``session_closed``.

        A turn is returned once: the next call waits for the next turn. Of turns that interrupted one another only the last is
        returned. A greeting is a turn too, and so is what the agent says to a user who says nothing.

        Raises:
            SessionOver: the session has ended, and its last turn was returned already.
        """
        turn = await self.awaited.next()
        if turn is None:
            raise SessionOver(f"the session has ended, so there is no further reply: {(await self.outcome()).reason}")
        return turn

    def _attach(self, pump: TrioPump | None, figures: LiveFigures) -> None:
        self.awaited.attach(pump, figures)
        super()._attach(pump, figures)

    async def outcome(self) -> SessionOutcome:
        """Wait for the end of the session. Returns how it went."""
        await self._over.wait()
        assert self._outcome is not None
        return self._outcome

    def _ended(self, outcome: SessionOutcome) -> None:
        self._outcome = outcome
        self._over.set()


class AwaitedTurns(Observer):
    """Waits for the turns of one session, one after another."""

    def __init__(self) -> None:
        self._pump: TrioPump | None = None
        self._figures: LiveFigures | None = None
        self._returned = 0
        """Number of the turn that was returned last."""
        self._news = trio.Event()

    def attach(self, pump: TrioPump | None, figures: LiveFigures) -> None:
        """As ``Remote._attach``."""
        self._pump, self._figures = pump, figures
        self._wake()

    def rows(self, rows: list[Row]) -> None:
        self._wake()

    async def next(self) -> TurnReport | None:
        """Wait for the next turn to be over. None: the session has ended without one."""
        while self._pump is not None and not (self._other() and self._pump.quiet):
            await self._news.wait()
        if (turn := self._other()) is None or self._figures is None:
            return None
        self._returned = turn.number
        return self._figures.of_turn(turn)

    def _other(self) -> TurnRecord | None:
        """The newest turn, unless it was returned."""
        turn = None if self._figures is None else self._figures.follower.turn
        return turn if turn is not None and turn.number > self._returned else None

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def in_background(run: Callable[[Session], Awaitable[SessionOutcome]]) -> AsyncIterator[Session]:
    """Run a session while the body runs, which begins when the session has begun. The end of the body ends it in order.

    Raises what `run` raises, alone and in no group.
    """
    session, failure = Session(), None

    async def running() -> None:
        session._ended(await run(session))

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running)
            await session.begun.wait()
            try:
                yield session
            except Exception as error:  # carried past the nursery, which would wrap it into a group
                failure = error
            finally:
                session.close()
    except ExceptionGroup as group:
        raise alone(group) from cause(group)
    if failure is not None:
        raise failure
