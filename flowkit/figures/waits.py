"""The events about calls that waited for a model that other sessions use. In the journal such a wait is a part of the call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from flowkit.figures.milestones import Milestone
from flowkit.figures.records import ModelWait, TurnRecord

WAITED = "model wait"
"""Name of the event: a call has waited for its model."""
_DETAIL = re.compile(r"(\w+) .*\bwaited_us=(\d+)")
_PARTS = {"asr": "asr_final", "llm": "llm_first_token", "tts": "tts_first_audio"}
"""The part of TTFA in which a stage of this kind waits."""


class ModelWaits:
    """Keeps the waits until the reply that they delayed is complete."""

    def __init__(self) -> None:
        self._waits: list[ModelWait] = []

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Keep a wait. Ignores all other events."""
        if name == WAITED and (found := _DETAIL.match(detail)) is not None:
            self._waits.append(ModelWait(found[1], at_us - int(found[2]), at_us))

    def apply(self, reply: TurnRecord) -> None:
        """Put the waits that the reply can have had into its record, and forget those that no later reply can have."""
        reply.waits = [wait for wait in self._waits if reply.ended_us is None or wait.until_us <= reply.ended_us]
        self._waits = [wait for wait in self._waits if wait.until_us > reply.released_us]


def with_waits(milestones: Iterable[Milestone], waits: list[ModelWait]) -> Iterator[Milestone]:
    """The milestones, with the waits taken out of the parts in which they lie."""
    before_us = 0
    for part, at_us in milestones:
        if at_us is not None:
            for wait in waits:
                if _PARTS.get(wait.kind) == part and before_us <= wait.until_us <= at_us:
                    yield part, wait.since_us
                    yield "model_wait", wait.until_us
            before_us = max(before_us, at_us)
        yield part, at_us
