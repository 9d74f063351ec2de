"""A running session as a program sees it: it takes messages, ends, and says how it went."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from flowkit.messages import StopReply, Typed
from flowkit.runtime.remote import Remote
from flowkit.runtime.session import SessionOutcome, alone, cause


class Session(Remote):
    """A session that runs in the background. Made by ``Host.session``.

    What is passed to it is recorded, so a replay has it too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outcome: SessionOutcome | None = None
        self._over = trio.Event()

    def type(self, text: str) -> None:
        """The user says `text`, as if it had been typed. It is answered, and it interrupts a reply."""
        self.tell("gate", Typed(text))

    def stop(self) -> None:
        """Give up the reply that is under way."""
        self.tell("gate", StopReply())

    async def outcome(self) -> SessionOutcome:
        """Wait for the end of the session. Returns how it went."""
        await self._over.wait()
        assert self._outcome is not None
        return self._outcome

    def ended(self, outcome: SessionOutcome) -> None:
        """Called by the host."""
        self._outcome = outcome
        self._over.set()


@asynccontextmanager
async def in_background(run: Callable[[Session], Awaitable[SessionOutcome]]) -> AsyncIterator[Session]:
    """Run a session while the body runs, which begins when the session has begun. The end of the body ends it in order.

    Raises what `run` raises, alone and in no group.
    """
    session, failure = Session(), None

    async def running() -> None:
        session.ended(await run(session))

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
