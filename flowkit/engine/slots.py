"""What the engine keeps for each stage: its state, what waits around it, its open call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flowkit.engine.mailbox import Envelope, Inbox
from flowkit.messages import Message
from flowkit.plan.graph import Timeouts
from flowkit.stages.base import Actions, Stage


@dataclass(slots=True)
class OpenCall:
    """An open provider call of one stage."""

    id: int
    timeouts: Timeouts
    timed: bool
    """Whether the call has a deadline at all. Most have none, and then no timer is set for each item."""
    deadline_us: int | None = None
    """When the next item is due. None: never."""
    fed: int = 0
    """How many items were forwarded to the call. They share ``Fed`` rows."""
    digest: int = 0
    """CRC-32 of these items."""
    fed_by: int = 0
    """Number of the row that forwarded the last of them."""
    recorded: int = 0
    """How many of them the journal's ``Fed`` rows cover so far."""


@dataclass(slots=True)
class Slot:
    """A stage's place in the engine: the stage, its state, and what waits around it."""

    index: int
    id: str
    stage: Stage[Any]
    step: Callable[[Any, Message, int], Actions]
    state: Any
    window: int
    timeouts: Timeouts
    rows: int = 0
    epoch: int = 0
    """Epoch and turn of what the stage emits. A listening stage is always in the session's own. A replying stage
    changes to a newer epoch with the first message of it that it handles."""
    turn: int = 0
    control: deque[Envelope] = field(default_factory=deque)
    inboxes: list[Inbox] = field(default_factory=list)
    outbox: deque[tuple[Inbox, Envelope]] = field(default_factory=deque)
    routes: dict[str, list[tuple[Slot, Inbox | None]]] = field(default_factory=dict)
    """Output port -> targets, each with the inbox there, or None for a control edge."""
    call: OpenCall | None = None
    waiting: int = 0
    """Messages in all inboxes."""
    fed: int = 0
    """Items that the open call was fed and has not yet taken."""
    bit: int = 0
    """``1 << index``. Looked up here, as the next two are, because every message needs them."""
    replying: bool = False
    selective: bool = False
    """Whether the stage overrides ``accepts``, and so does not always take everything."""
    judging: bool = False
    """Whether the stage overrides ``stale``, and so may refuse an item of its provider."""
