"""What waits: envelopes in bounded inboxes, one inbox an edge."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import NamedTuple

from flowkit.messages import Message
from flowkit.plan.graph import Bound, WhenFull


class Envelope(NamedTuple):
    """A message on its way: its cause, when it was sent, epoch and turn, and its place in the order of sending."""

    message: Message
    cause_stage: str
    cause_n: int
    sent_us: int
    epoch: int
    turn: int
    seq: int


class Push(Enum):
    """What became of a push."""

    TAKEN = auto()
    BLOCKED = auto()
    DROPPED_NEW = auto()
    DROPPED_OLD = auto()
    OVERFLOW = auto()


class Inbox:
    """The data that waits on one edge. The bound counts what waits here and what was fed on to the provider and not yet taken.

    Markers (end of utterance, end of reply, end of clause) are never dropped: a full inbox makes their sender wait.
    """

    __slots__ = ("blocked_since_us", "blocked_us", "bound", "dropped", "high_water", "port", "queue", "source", "target")

    def __init__(self, source: int, target: int, port: str, bound: Bound) -> None:
        self.source = source
        self.target = target
        self.port = port
        self.bound = bound
        self.queue: deque[Envelope] = deque()
        self.high_water = 0
        self.dropped = 0
        self.blocked_us = 0
        self.blocked_since_us = -1

    def push(self, envelope: Envelope, beyond: int) -> tuple[Push, Envelope | None]:
        """Add `envelope` if the bound allows, `beyond` being what waits on the channel's other side. Returns what happened
        and the envelope that was dropped, if one was."""
        waiting = len(self.queue) + beyond
        if waiting < self.bound.max:
            self.queue.append(envelope)
            if waiting >= self.high_water:
                self.high_water = waiting + 1
            return Push.TAKEN, None
        return self._full(envelope)

    def _full(self, envelope: Envelope) -> tuple[Push, Envelope | None]:
        match self.bound.when_full:
            case WhenFull.ERROR:
                return Push.OVERFLOW, None
            case WhenFull.DROP_NEWEST if envelope.message.lossy:
                self.dropped += 1
                return Push.DROPPED_NEW, envelope
            case WhenFull.DROP_OLDEST:
                for i, old in enumerate(self.queue):
                    if old.message.lossy:
                        del self.queue[i]
                        self.queue.append(envelope)
                        self.dropped += 1
                        return Push.DROPPED_OLD, old
                if envelope.message.lossy:
                    self.dropped += 1
                    return Push.DROPPED_NEW, envelope
        return Push.BLOCKED, None

    def blocked(self, now_us: int) -> None:
        """A sender waits from now on."""
        if self.blocked_since_us < 0:
            self.blocked_since_us = now_us

    def unblocked(self, now_us: int) -> None:
        """No sender waits any more."""
        if self.blocked_since_us >= 0:
            self.blocked_us += now_us - self.blocked_since_us
            self.blocked_since_us = -1
