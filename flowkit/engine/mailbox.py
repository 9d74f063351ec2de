"""Mailboxes: the messages that wait before a stage, in one bounded inbox for each data edge."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final, TypeAlias

from flowkit.config.schema import WhenFull
from flowkit.messages import Message
from flowkit.plan.graph import Bound

Envelope: TypeAlias = tuple[Message, str, int, int, int, int, int]
"""A message with its origin: (message, cause's stage, cause's n, sent_us, epoch, turn, number in order of sending).

A plain tuple, because every message gets one: making a named tuple would cost more than everything else that a mailbox
does with the message.
"""

EPOCH: Final = 4
SEQ: Final = 6
"""The indexes of epoch and number in an envelope, because a plain tuple has no names."""


class Push(Enum):
    """What an inbox that is full did with a message."""

    BLOCKED = auto()
    """Not accepted: the sender must wait."""
    DROPPED_NEW = auto()
    """Dropped the message itself."""
    DROPPED_OLD = auto()
    """Dropped the oldest message that may be dropped, and accepted the new one."""
    OVERFLOW = auto()
    """Not accepted: the policy is ``error``, which ends the session."""


class Inbox:
    """The data that waits on one edge.

    The bound counts the messages that wait here and the items that were fed to the provider and not yet taken. Markers
    (end of utterance, end of clause, end of reply) are never dropped: if the inbox is full, their sender waits.

    Args:
        source: index of the sending stage.
        target: index of the receiving stage.
        port: input port of the receiving stage.
        bound: how many messages may wait, and the policy for one more.
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
        """The most messages that ever counted against the bound."""
        self.dropped = 0
        self.blocked_us = 0
        """How long senders have waited, all together."""
        self.blocked_since_us = -1
        """Since when a sender waits; -1 if none does. An integer, not None, because each message compares it."""

    def push(self, envelope: Envelope, in_flight: int) -> bool:
        """Append `envelope` if there is room. Returns whether there was.

        `in_flight` is how many items the receiving stage's provider was fed and has not yet taken.
        """
        queue = self.queue
        waiting = len(queue) + in_flight
        if waiting >= self.max:
            return False
        queue.append(envelope)
        if waiting >= self.high_water:
            self.high_water = waiting + 1
        return True

    def full(self, envelope: Envelope) -> tuple[Push, Envelope | None]:
        """Apply the policy to `envelope`, for which there is no room.

        Returns what was done, and the envelope that was dropped or None.
        """
        match self.bound.when_full:
            case WhenFull.ERROR:
                return Push.OVERFLOW, None
            case WhenFull.DROP_NEWEST if envelope[0].lossy:
                # Never a marker: without it, the receiver would not learn that something has ended.
                self.dropped += 1
                return Push.DROPPED_NEW, envelope
            case WhenFull.DROP_OLDEST:
                for i, old in enumerate(self.queue):
                    if old[0].lossy:
                        del self.queue[i]
                        self.queue.append(envelope)
                        self.dropped += 1
                        return Push.DROPPED_OLD, old
                # Only markers wait, and no policy drops these.
                if envelope[0].lossy:
                    self.dropped += 1
                    return Push.DROPPED_NEW, envelope
        return Push.BLOCKED, None

    def blocked(self, now_us: int) -> None:
        """Note that a sender waits from `now_us` on."""
        # A sender that tries again has waited since its first try.
        if self.blocked_since_us < 0:
            self.blocked_since_us = now_us

    def drained(self, epoch: int) -> list[Envelope]:
        """Take out what belongs to `epoch` or an earlier one. What follows an interrupt within the same instant stays."""
        gone = [envelope for envelope in self.queue if envelope[EPOCH] <= epoch]
        later = [envelope for envelope in self.queue if envelope[EPOCH] > epoch]
        self.queue.clear()
        self.queue.extend(later)
        return gone

    def unblocked(self, now_us: int) -> None:
        """Note that no sender waits any more, and add up how long one did."""
        if self.blocked_since_us >= 0:
            self.blocked_us += now_us - self.blocked_since_us
            self.blocked_since_us = -1
