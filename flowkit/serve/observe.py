"""Looking inside a session while it runs: a read-only WebSocket of observations, the same that the terminal's live view draws."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trio

from flowkit.clock import ms
from flowkit.engine import Engine, Row
from flowkit.engine.observer import Observer
from flowkit.figures.live import LiveFigures
from flowkit.plan.graph import Plan
from flowkit.report.live_state import LiveState
from flowkit.report.observation import PER_SECOND
from flowkit.runtime.clock import SessionClock
from flowkit.serve.http import json_bytes
from flowkit.serve.socket import NORMAL, Socket

LOG_LINES = 20
"""How many lines of the log an observation has."""
_PATIENCE_US = 3_000_000
"""Who does not ask for so long looks no longer."""
Seen = Mapping[str, Any]
"""An observation, or a line of the list of sessions, as plain data."""


class Running(Observer):
    """A session that runs. It is followed while someone looks inside, and costs nothing otherwise.

    Args:
        id: the session's id.
        plan: what it runs.
        clock: its clock.
        recording: the name of its trace, or empty.
    """

    def __init__(self, id: str, plan: Plan, clock: SessionClock, recording: str) -> None:
        self.id = id
        self.recording = recording
        self._plan = plan
        self._clock = clock
        self._session: tuple[Engine, LiveFigures] | None = None
        self._state: LiveState | None = None
        self._asked_us = 0

    def started(self, engine: Engine, figures: LiveFigures) -> None:
        """The session begins."""
        self._session = engine, figures

    def rows(self, rows: list[Row]) -> None:
        if self._state is not None:
            self._state.rows(rows)
            if self._clock.now_us() > self._asked_us + _PATIENCE_US:
                self._state = None

    def event(self, at_us: int, name: str, detail: str) -> None:
        if self._state is not None:
            self._state.event(at_us, name, detail)

    @property
    def followed(self) -> bool:
        """Whether someone looks inside."""
        return self._state is not None

    @property
    def described(self) -> Seen:
        """The session in a list."""
        return {"session": self.id, "recording": self.recording, "for_ms": ms(self._clock.now_us())}

    def observed(self) -> Seen:
        """What is seen of it now. The first to ask sees what holds then, and the following from there on."""
        if self._state is None:
            self._state = LiveState(self._plan)
            if self._session is not None:
                self._state.started(*self._session)
        now_us = self._asked_us = self._clock.now_us()
        seen = self._state.observed(now_us, LOG_LINES).to_json()
        return {"type": "observation", "session": self.id, "recording": self.recording, **seen}


class RunningSessions:
    """The sessions that run in this process."""

    def __init__(self) -> None:
        self._by_id: dict[str, Running] = {}

    @contextmanager
    def holding(self, session: Running) -> Iterator[None]:
        """Others may look inside `session` while the body runs."""
        self._by_id[session.id] = session
        try:
            yield
        finally:
            del self._by_id[session.id]

    def described(self) -> list[Seen]:
        """Each session, for a list."""
        return [session.described for session in self._by_id.values()]

    def observed(self, id: str) -> Seen | None:
        """What is seen of a session now; None if it does not run here."""
        return None if (session := self._by_id.get(id)) is None else session.observed()


async def show(socket: Socket, ask: Callable[[], Awaitable[Seen | None]]) -> None:
    """Send what `ask` returns until it is None or the client leaves. What the client sends is not looked at."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, socket, nursery.cancel_scope)
        while (seen := await ask()) is not None:
            socket.send(json_bytes(seen))
            await trio.sleep(1 / PER_SECOND)
        socket.close(NORMAL, "the session has ended")
        nursery.cancel_scope.cancel()


async def _until_gone(socket: Socket, scope: trio.CancelScope) -> None:
    async for _ in socket.texts():
        pass
    scope.cancel()
