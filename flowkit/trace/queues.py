"""Queue figures from a journal's rows alone, so that a recording shows what its live session showed.

A row's cause says where in the journal its message was sent, its own place when it was taken: between the two it waited, in the
inbox if there was room and in its sender's outbox if not. Following that, row by row, gives the engine's own counters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flowkit.messages import (
    Credit,
    EndOfUtterance,
    Failed,
    Frames,
    InputEnded,
    Message,
    SpeechStarted,
)
from flowkit.trace.figures import QueueReport
from flowkit.trace.layout import Edge, Layout
from flowkit.trace.rows import RowTuple
from flowkit.trace.sound import Sound

_FED = {"vad": (Frames,), "asr": (Frames, SpeechStarted, EndOfUtterance)}
"""What a stage of that kind hands on to its provider as it comes, which counts towards its bound until it is credited."""


@dataclass(slots=True)
class _Queue:
    """One bounded edge. `inside`: messages in the inbox; the rest as the engine counts it."""

    edge: Edge
    inside: int = 0
    high_water: int = 0
    dropped: int = 0
    blocked_us: int = 0
    blocked_since_us: int | None = None


@dataclass(slots=True)
class _Stage:
    """`outbox`: queues for which a message of this stage still waits, in order; `fed`: items its provider has not yet taken."""

    outbox: deque[_Queue] = field(default_factory=deque)
    incoming: list[_Queue] = field(default_factory=list)
    fed: int = 0
    fed_kinds: tuple[type[Message], ...] = ()


class _Flow:
    """All queues of one session."""

    def __init__(self, layout: Layout) -> None:
        self.queues = [_Queue(edge) for edge in layout.edges]
        self.stages = {id_: _Stage(fed_kinds=_FED.get(kind, ())) for id_, kind in layout.kinds}
        for queue in self.queues:
            self.stages[queue.edge.stage].incoming.append(queue)
        self._speaker = layout.only("speaker")
        self._sound = Sound(layout.frame_us)

    def queue(self, source: str, stage: str, message: Message) -> _Queue | None:
        """The queue by which `message` goes. Two edges between the same stages differ in what they carry."""
        between = [queue for queue in self.stages[stage].incoming if queue.edge.source == source]
        if len(between) < 2:
            return between[0] if between else None
        ending = isinstance(message, InputEnded)
        return next((queue for queue in between if (queue.edge.port == "end") is ending), between[0])

    def taken(self, queue: _Queue | None, now_us: int) -> None:
        """A message left the queue, or the outbox before it if it never got in."""
        if queue is None:
            return
        source = self.stages[queue.edge.source]
        if queue.inside:
            queue.inside -= 1
        elif queue in source.outbox:
            source.outbox.remove(queue)
            self._unblocked(queue, now_us)
        self._flush(source, now_us)

    def sent(self, queue: _Queue, now_us: int) -> None:
        """A message was sent into the queue."""
        source = self.stages[queue.edge.source]
        if source.outbox or not self._push(queue, now_us):
            source.outbox.append(queue)

    def handed_on(self, stage: str, message: Message, now_us: int) -> None:
        """The stage has handled the message: what its provider has to take is more, or less."""
        known = self.stages[stage]
        if isinstance(message, Credit):
            known.fed -= message.count
        elif isinstance(message, Failed):
            known.fed = 0
        elif stage == self._speaker:
            known.fed += self._sound.handle(message, now_us)
            return
        elif isinstance(message, known.fed_kinds):
            known.fed += 1
            return
        else:
            return
        for queue in known.incoming:
            self._flush(self.stages[queue.edge.source], now_us)

    def _push(self, queue: _Queue, now_us: int) -> bool:
        waiting = queue.inside + self.stages[queue.edge.stage].fed
        if waiting >= queue.edge.max:
            if queue.edge.when_full == "block" and queue.blocked_since_us is None:
                queue.blocked_since_us = now_us
            # A policy that drops makes room instead: the row of the message that went says so.
            return queue.edge.when_full != "block" and self._entered(queue, queue.edge.max)
        return self._entered(queue, waiting + 1)

    @staticmethod
    def _entered(queue: _Queue, waiting: int) -> bool:
        queue.inside += 1
        queue.high_water = max(queue.high_water, waiting)
        return True

    def _flush(self, source: _Stage, now_us: int) -> None:
        while source.outbox and self._push(source.outbox[0], now_us):
            self._unblocked(source.outbox.popleft(), now_us)

    @staticmethod
    def _unblocked(queue: _Queue, now_us: int) -> None:
        if queue.blocked_since_us is not None:
            queue.blocked_us += now_us - queue.blocked_since_us
            queue.blocked_since_us = None


def queue_figures(rows: Sequence[RowTuple], layout: Layout) -> tuple[QueueReport, ...]:
    """The figures of every stage with bounded edges, in the pipeline's order."""
    flow = _Flow(layout)
    sent: dict[tuple[str, int], list[_Queue]] = {}
    for stage, _, cause, cause_n, _, _, lane, _, _, message, _ in rows:
        if lane == "D" and cause and (queue := flow.queue(cause, stage, message)) is not None:
            sent.setdefault((cause, cause_n), []).append(queue)
    for stage, n, cause, _, _, now_us, lane, _, _, message, fate in rows:
        queue = flow.queue(cause, stage, message) if lane == "D" and cause else None
        flow.taken(queue, now_us)
        if queue is not None and fate == "dropped":
            queue.dropped += 1
        if fate == "":
            flow.handed_on(stage, message, now_us)
        for into in sent.get((stage, n), ()):
            flow.sent(into, now_us)
    return tuple(_of_stage(id_, flow.stages[id_].incoming) for id_, _ in layout.kinds if flow.stages[id_].incoming)


def _of_stage(stage: str, queues: list[_Queue]) -> QueueReport:
    edge = queues[0].edge
    high_water = max(queue.high_water for queue in queues)
    dropped = sum(queue.dropped for queue in queues)
    return QueueReport(stage, edge.max, edge.when_full, high_water, dropped, sum(q.blocked_us for q in queues))


def queue_reports(inboxes: Sequence[tuple[str, Any]]) -> tuple[QueueReport, ...]:
    """The same figures from an engine's own inboxes (``Engine.inboxes()``), where there is an engine."""
    by_stage: dict[str, list[Any]] = {}
    for stage, inbox in inboxes:
        by_stage.setdefault(stage, []).append(inbox)
    return tuple(
        QueueReport(
            stage,
            known[0].bound.max,
            str(known[0].bound.when_full),
            max(inbox.high_water for inbox in known),
            sum(inbox.dropped for inbox in known),
            sum(inbox.blocked_us for inbox in known),
        )
        for stage, known in by_stage.items()
    )
