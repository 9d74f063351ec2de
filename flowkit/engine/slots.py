"""What the engine keeps for each stage: its state, what waits around it, its open call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flowkit.engine.journal import Fate, Row
from flowkit.engine.mailbox import SEQ, Envelope, Inbox
from flowkit.messages import Message
from flowkit.plan.graph import Plan, Timeouts
from flowkit.stages.base import PROVIDER, Actions, Stage, new

_HANDLED = Fate.HANDLED


@dataclass(slots=True)
class OpenCall:
    """An open provider call of one stage."""

    id: int
    timeouts: Timeouts
    timed: bool = field(init=False)
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

    def __post_init__(self) -> None:
        self.timed = self.timeouts.first_item_us is not None or self.timeouts.idle_us is not None


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
    routes: dict[str, list[tuple[int, Inbox | None]]] = field(default_factory=dict)
    """Output port -> the indexes of the targets, each with the inbox there, or None for a control edge."""
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

    def row(self, envelope: Envelope, now_us: int, fate: Fate, call: int) -> Row:
        """The stage's next row: a message that it does not see."""
        message, stage, n, sent_us, epoch, turn, _ = envelope
        self.rows += 1
        return Row(self.id, self.rows, stage, n, sent_us, now_us, epoch, turn, message, fate, call)

    def outgoing(self, message: Message, now_us: int, n: int, call: int) -> Row:
        """The stage's next row: what leaves for its provider. Its row `n` caused it; 0 if no row did."""
        self.rows += 1
        cause = self.id if n else ""
        row = (self.id, self.rows, cause, n, now_us, now_us, self.epoch, self.turn, message, _HANDLED, call)
        return new(Row, row)

    def accepts_item(self) -> bool:
        """Whether the stage accepts an item of its provider now."""
        # An item that is taken now would add to what waits in the outbox, which has no bound of its own.
        return not self.outbox and (not self.selective or PROVIDER in self.stage.accepts(self.state))

    def takeable(self) -> Inbox | None:
        """The inbox that the stage takes from next, or None. Of several, the one whose first message was sent earliest."""
        # What the step emits would pile up in the outbox, and what it feeds would exceed the provider's window.
        if not self.waiting or self.outbox or self.fed >= self.window:
            return None
        best: Inbox | None = None
        accepted = self.stage.accepts(self.state) if self.selective else None
        for inbox in self.inboxes:
            queue = inbox.queue
            if queue and (accepted is None or inbox.port in accepted):
                if len(queue) == self.waiting:
                    return inbox  # nothing waits in the other inboxes
                # By number and not by time, because several messages may be sent within one instant.
                if best is None or queue[0][SEQ] < best.queue[0][SEQ]:
                    best = inbox
        return best


def slots_of(plan: Plan) -> list[Slot]:
    """The slots of a new session, in the order of the stages, with the queues between them."""
    slots: list[Slot] = []
    for index, planned in enumerate(plan.stages):
        stage = planned.cls(planned.options, plan.frame_us)
        slot = Slot(index, planned.id, stage, stage.step, stage.fresh(), planned.window, planned.timeouts)
        slot.bit, slot.replying = 1 << index, stage.replying
        # Asked once: most stages override neither, and then a message costs no call.
        slot.selective = type(stage).accepts is not Stage.accepts
        slot.judging = type(stage).stale is not Stage.stale
        slots.append(slot)
    by_id = {slot.id: slot for slot in slots}
    for edge in plan.edges:
        source, target = by_id[edge.source], by_id[edge.target]
        # Control must overtake data, so its edges have no inbox. Its messages wait in the target's control queue.
        inbox = Inbox(source.index, target.index, edge.input, edge.bound) if edge.bound else None
        if inbox is not None:
            target.inboxes.append(inbox)
        source.routes.setdefault(edge.output, []).append((target.index, inbox))
    return slots
