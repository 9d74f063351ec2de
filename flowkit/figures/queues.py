"""Queue figures from an engine's own counters."""

from __future__ import annotations

from collections.abc import Sequence

from flowkit.engine.mailbox import Inbox
from flowkit.figures.report import QueueReport


def queue_reports(inboxes: Sequence[tuple[str, Inbox]]) -> tuple[QueueReport, ...]:
    """The queue figures of every stage with a bounded edge, in the order of the pipeline.

    `inboxes` is what ``Engine.inboxes()`` returns.
    """
    by_stage: dict[str, list[Inbox]] = {}
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
