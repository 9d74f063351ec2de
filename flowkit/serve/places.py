"""Who has how many sessions, in all processes of a server, and whether one more may begin. No I/O."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Protocol

from flowkit.config.serve import ServeLimits
from flowkit.serve.families import Families
from flowkit.serve.observe import Seen


class PlaceAnswer(StrEnum):
    """Whether a session may begin."""

    ADMITTED = "admitted"
    FULL = "full"
    """The server has as many sessions as `serve.limits.sessions` allows."""
    PEER_FULL = "peer full"
    """The client's address has as many as `serve.limits.per_peer` allows."""


class Places:
    """The sessions by worker and by the client's address."""

    def __init__(self, limits: ServeLimits) -> None:
        self._limits = limits
        self._taken: dict[int, Counter[str]] = {}

    @property
    def free(self) -> bool:
        """Whether the server as a whole has a place."""
        return sum(taken.total() for taken in self._taken.values()) < self._limits.sessions

    def take(self, peer: str, worker: int = 0) -> PlaceAnswer:
        """Take a place for a client at address `peer`, if there is one."""
        if not self.free:
            return PlaceAnswer.FULL
        if sum(taken[peer] for taken in self._taken.values()) >= self._limits.per_peer:
            return PlaceAnswer.PEER_FULL
        self._taken.setdefault(worker, Counter())[peer] += 1
        return PlaceAnswer.ADMITTED

    def leave(self, peer: str, worker: int = 0) -> None:
        """Give a place back."""
        taken = self._taken[worker]
        taken[peer] -= 1
        if not taken[peer]:
            del taken[peer]

    def lost(self, worker: int) -> None:
        """The worker has ended, and its sessions with it."""
        self._taken.pop(worker, None)


class Coordinator(Protocol):
    """What covers all processes of a server: its places, its readiness and its metrics."""

    async def take(self, peer: str) -> PlaceAnswer:
        """Take a place for a client at address `peer`."""
        ...

    def leave(self, peer: str) -> None:
        """Give a place back."""
        ...

    async def accepting(self, own: bool) -> bool:
        """Whether a session would be admitted; `own`: whether this process would."""
        ...

    async def families(self, own: Families) -> Families:
        """The metrics; `own` are those of this process."""
        ...

    async def running(self, own: list[Seen]) -> list[Seen]:
        """The sessions that run; `own` are those of this process."""
        ...

    async def observed(self, id: str, own: Seen | None) -> Seen | None:
        """What is seen inside a session now, and None if it does not run; `own`: what this process sees."""
        ...


class Alone:
    """The coordinator of a server with one process."""

    def __init__(self, limits: ServeLimits) -> None:
        self._places = Places(limits)

    async def take(self, peer: str) -> PlaceAnswer:
        return self._places.take(peer)

    def leave(self, peer: str) -> None:
        self._places.leave(peer)

    async def accepting(self, own: bool) -> bool:
        return own and self._places.free

    async def families(self, own: Families) -> Families:
        return own

    async def running(self, own: list[Seen]) -> list[Seen]:
        return own

    async def observed(self, id: str, own: Seen | None) -> Seen | None:
        return own
