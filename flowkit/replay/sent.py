"""What left the engine for each provider, as one digest a stage: requests, what was fed, cancels, and what was played."""

from __future__ import annotations

from collections.abc import Iterable

from flowkit.engine import Row
from flowkit.engine.journal import digest
from flowkit.figures.layout import Layout

_CHARACTERS = 12


def sent_digests(rows: Iterable[Row], layout: Layout) -> dict[str, str]:
    """The digests by stage id, in the order of the pipeline. A stage without a provider has none.

    They hold when it left too, but not which row caused it, so that a message more inside the engine does not show.
    """
    by_stage: dict[str, list[Row]] = {id_: [] for id_, _ in layout.kinds}
    for row in rows:
        if row.lane == "P":
            by_stage[row.stage].append(row._replace(n=0, cause_stage="", cause_n=0, sent_us=0, epoch=0))
    return {stage: digest(sent)[:_CHARACTERS] for stage, sent in by_stage.items() if sent}
