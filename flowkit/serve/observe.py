"""Looking inside a session while it runs: a read-only WebSocket of observations, the same that the terminal's live view draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

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
MOST_LOOKERS = 8
"""How many may look inside one session at the same time."""


class Watched(Observer):
    """Follows a session while someone looks inside it, and does nothing otherwise."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._session: tuple[Engine, LiveFigures] | None = None
        self._state: LiveState | None = None
        self.lookers = 0

    def started(self, engine: Engine, figures: LiveFigures) -> None:
        """The session begins."""
        self._session = engine, figures

    def rows(self, rows: list[Row]) -> None:
        if self._state is not None:
            self._state.rows(rows)

    def event(self, at_us: int, name: str, detail: str) -> None:
        if self._state is not None:
            self._state.event(at_us, name, detail)

    @contextmanager
    def look(self) -> Iterator[LiveState]:
        """What is seen of the session, from now on."""
        if self._state is None:
            self._state = LiveState(self._plan)
            if self._session is not None:
                self._state.started(*self._session)
        self.lookers += 1
        try:
            yield self._state
        finally:
            self.lookers -= 1
            if not self.lookers:
                self._state = None


@dataclass(slots=True)
class Running:
    """A session that runs, for those who may look inside. `recording` is its file's name, or empty. `over` is set at its end."""

    id: str
    clock: SessionClock
    watched: Watched
    recording: str
    over: trio.Event = field(default_factory=trio.Event)


async def show(socket: Socket, session: Running) -> None:
    """Send observations of the session until it ends or the client leaves. What the client sends is not looked at."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, socket, nursery.cancel_scope)
        with session.watched.look() as state:
            while not session.over.is_set():
                _send(socket, session, state)
                with trio.move_on_after(1 / PER_SECOND):
                    await session.over.wait()
            _send(socket, session, state)
        socket.close(NORMAL, "the session has ended")
        nursery.cancel_scope.cancel()


def _send(socket: Socket, session: Running, state: LiveState) -> None:
    seen = state.observed(session.clock.now_us(), LOG_LINES)
    socket.send(
        json_bytes({"type": "observation", "session": session.id, "recording": session.recording, **seen.to_json()})
    )


async def _until_gone(socket: Socket, scope: trio.CancelScope) -> None:
    async for _ in socket.texts():
        pass
    scope.cancel()
