"""The heap pump: drives an engine from scripts, jumping from event to event. No threads, no sockets, no sleep.

It follows the same rules as the live pump (``flowkit.runtime.pump``), so the same answers give the same journal: within an
instant deadlines come first, then credits, then items, by stage and call; a stage that holds items back is not offered any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowkit.engine import (
    CallCancelled,
    CallEnded,
    CallFed,
    CallOpened,
    Effect,
    Engine,
    Finished,
    Stimulus,
    credit_batch,
)
from flowkit.messages import Credit, Done, Failed
from flowkit.plan.graph import Plan
from flowkit.providers.script import Agenda, Script


@dataclass(slots=True)
class HeapCall:
    """An open call and what it still has to say; `untold`: items taken but not yet credited."""

    stage: int
    id: int
    agenda: Agenda
    batch: int
    untold: int = 0


class HeapPump:
    """Drives one session of `plan`; `scripts` maps the id of each stage that has a provider to its script."""

    def __init__(self, plan: Plan, scripts: Mapping[str, Script]) -> None:
        self.engine = Engine(plan)
        self._plan = plan
        self._scripts = scripts
        self._calls: dict[int, HeapCall] = {}
        self._credits: list[Stimulus] = []
        self._now_us = 0

    def run(self, until_us: int | None = None) -> None:
        """Run to the session's end, or until the clock would pass `until_us`."""
        self._apply(self.engine.begin(0))
        while self.engine.finished is None:
            stimulus = self._choose()
            if stimulus is not None:
                self._apply(self.engine.advance(self._now_us, (stimulus,)))
                continue
            at_us = self._next_us()
            if at_us is None or (until_us is not None and at_us > until_us):
                return
            self._now_us = max(at_us, self._now_us)
            self._apply(self.engine.advance(self._now_us))

    def _next_us(self) -> int | None:
        """The next instant at which anything can happen."""
        best = self.engine.next_deadline()
        for call in self._calls.values():
            at_us = call.agenda.next_us()
            if at_us is not None and (best is None or at_us < best) and self.engine.takes(call.stage):
                best = at_us
        return best

    def _choose(self) -> Stimulus | None:
        """What happens next at this instant, if anything does."""
        if self._credits:
            self._credits.sort()
            return self._credits.pop(0)
        for stage, call in self._calls.items():
            at_us = call.agenda.next_us()
            if at_us is None or at_us > self._now_us or not self.engine.takes(stage):
                continue
            item = call.agenda.pop()
            call.agenda.accepted(self._now_us)
            if isinstance(item, Done | Failed):
                del self._calls[stage]
            return Stimulus(stage, call.id, item, at_us)
        return None

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case CallFed(stage, id_, item):
                    call = self._calls[stage]
                    call.agenda.fed(item, self._now_us)
                    call.untold += 1
                    if call.untold >= call.batch:
                        self._credits.append(Stimulus(stage, id_, Credit(call.untold), self._now_us))
                        call.untold = 0
                case CallOpened(stage, id_, request, _):
                    planned = self._plan.stages[stage]
                    opened = self._scripts[planned.id].open(request)
                    agenda = Agenda(opened, self._now_us)
                    self._calls[stage] = HeapCall(stage, id_, agenda, credit_batch(planned.window))
                    self._calls = dict(sorted(self._calls.items()))
                case CallEnded(stage, _):
                    self._calls[stage].agenda.ended(self._now_us)
                case CallCancelled(stage, id_):
                    self._calls.pop(stage, None)
                    self._credits = [credit for credit in self._credits if credit.call != id_]
                case Finished():
                    pass
