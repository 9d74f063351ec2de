"""What a session looks like at one moment. The terminal's live view draws it, and ``flowkit serve`` sends it to those who look
inside a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from flowkit.clock import ms
from flowkit.config.budgets import PARTS, Budgets
from flowkit.figures.cost import Cost, session_json
from flowkit.figures.report import InterruptReport, TurnReport
from flowkit.printable import all_printable
from flowkit.report.budgets import over, widest

PER_SECOND = 5
"""How often it is drawn or sent."""


class ShownClause(NamedTuple):
    """A clause of the reply, and how many characters of it were spoken."""

    text: str
    spoken: int


class QueueLevel(NamedTuple):
    """A bounded edge before `stage`: how many messages wait, how many may, and how many were dropped so far."""

    stage: str
    waiting: int
    max: int
    dropped: int


class ToolUnderWay(NamedTuple):
    """A tool that runs, and for how long it has."""

    name: str
    running_us: int


@dataclass(frozen=True, slots=True)
class Observation:
    """A session at time `at_us`. Texts are as they were said; who shows them makes them printable."""

    pipeline: str
    at_us: int
    turn: str
    """Whose turn it is, as one word: a state of the gate, or ``loading``."""
    user_db: float
    """Peak level of the microphone in decibels below full scale, -60 at least."""
    agent_db: float
    user: str
    """The utterance that is answered."""
    partial: str
    """What is understood so far of the one under way."""
    clauses: tuple[ShownClause, ...]
    queues: tuple[QueueLevel, ...]
    tools: tuple[ToolUnderWay, ...] | None
    """None: the agent has no tools."""
    cost: Cost | None
    """What it has cost so far. None: no provider has a price."""
    newest: TurnReport | None
    """The newest turn with sound, as far as it is known."""
    interrupts: tuple[InterruptReport, ...]
    """The newest interrupts."""
    budgets: Budgets | None
    log: tuple[str, ...]
    """The newest lines of the log."""

    @property
    def bound_us(self) -> int | None:
        """The bound of TTFA that each turn must keep, if there is one."""
        return None if self.budgets is None else widest(self.budgets.ttfa)

    @property
    def late(self) -> list[str]:
        """The figures of the newest turn that are over their budget."""
        return [] if self.newest is None else over(self.newest, {"budgets": self.budgets})

    def to_json(self) -> dict[str, Any]:
        """The observation as plain data. Times are in milliseconds, and texts hold no control character."""
        newest = None if self.newest is None else {**self.newest.to_json(), "over": self.late}
        told: dict[str, Any] = all_printable(
            {
                "pipeline": self.pipeline,
                "at_ms": ms(self.at_us),
                "turn": self.turn,
                "levels_db": {"user": round(self.user_db, 1), "agent": round(self.agent_db, 1)},
                "user": self.user,
                "partial": self.partial,
                "clauses": [clause._asdict() for clause in self.clauses],
                "queues": [queue._asdict() for queue in self.queues],
                "tools": None
                if self.tools is None
                else [{"name": name, "running_ms": ms(us)} for name, us in self.tools],
                "cost": None if self.cost is None else session_json(self.cost, self.at_us),
                "newest": newest,
                "interrupts": [interrupt.to_json() for interrupt in self.interrupts],
                "budgets": self._bounds(),
                "log": self.log,
            }
        )
        return told

    def _bounds(self) -> dict[str, Any] | None:
        """The bounds for each turn, in milliseconds: of TTFA, and of its parts."""
        if self.budgets is None:
            return None
        bounds = {part: widest(getattr(self.budgets.parts, part)) for part in PARTS}
        return {
            "ttfa_ms": None if self.bound_us is None else ms(self.bound_us),
            "parts_ms": {part: None if us is None else ms(us) for part, us in bounds.items()},
        }
