"""What waits: envelopes in bounded inboxes, one inbox an edge."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final, TypeAlias

from flowkit.config.schema import WhenFull
from flowkit.messages import Message
from flowkit.plan.graph import Bound

Envelope: TypeAlias = tuple[Message, str, int, int, int, int, int]
"""A message on its way: (message, cause's stage, cause's n, sent_us, epoch, turn, place in the order of sending). A plain tuple:
one is made for every message, and a named one costs more than all else that happens to it in a mailbox."""

EPOCH: Final = 4
TURN: Final = 5
SEQ: Final = 6


class Push(Enum):
    """What became of a message that found its inbox full."""

    BLOCKED = auto()
    DROPPED_NEW = auto()
    DROPPED_OLD = auto()
    OVERFLOW = auto()


class Inbox:
    """The data that waits on one edge. The bound counts what waits here and what was fed on to the provider and not yet taken.

    Markers (end of utterance, end of reply, end of clause) are never dropped: a full inbox makes their sender wait.
    """

    __slots__ = (
        "blocked_since_us",
        "blocked_us",
        "bound",
        "dropped",
        "high_water",
        "max",
        "port",
        "queue",
        "source",
        "target",
    )

    def __init__(self, source: int, target: int, port: str, bound: Bound) -> None:
        self.source = source
        self.target = target
        self.port = port
        self.bound = bound
        self.max = bound.max
        self.queue: deque[Envelope] = deque()
        self.high_water = 0
        self.dropped = 0
        self.blocked_us = 0
        self.blocked_since_us = -1

    def push(self, envelope: Envelope, beyond: int) -> bool:
        """Add `envelope` if the bound allows, `beyond` being what waits on the channel's other side. False if it is full."""
        queue = self.queue
        waiting = len(queue) + beyond
        if waiting >= self.max:
            return False
        queue.append(envelope)
        if waiting >= self.high_water:
            self.high_water = waiting + 1
        return True

    def full(self, envelope: Envelope) -> tuple[Push, Envelope | None]:
        """Apply the policy to an envelope for which there is no room: what happened, and what was dropped, if anything."""
        match self.bound.when_full:
            case WhenFull.ERROR:
                return Push.OVERFLOW, None
            case WhenFull.DROP_NEWEST if envelope[0].lossy:
                self.dropped += 1
                return Push.DROPPED_NEW, envelope
            case WhenFull.DROP_OLDEST:
                for i, old in enumerate(self.queue):
                    if old[0].lossy:
                        del self.queue[i]
                        self.queue.append(envelope)
                        self.dropped += 1
                        return Push.DROPPED_OLD, old
                if envelope[0].lossy:
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
