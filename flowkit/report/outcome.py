"""The outcome of one test, as progress lines, tables, JUnit, Markdown and GitHub annotations show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from flowkit.clock import ms


class Status(StrEnum):
    """`failed`: an expectation was not met. `error`: it could not be judged."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as expected, and the place that caused it (or, where that is not known, that expects it)."""

    what: str
    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Change:
    """A figure or text of turn `turn` (0: of the session) that is another than the approved one. Both as people read them;
    `delta_ms` for durations. `modelled`: the new one rests on a modelled answer."""

    turn: int
    what: str
    before: str
    now: str
    delta_ms: float | None = None
    modelled: bool = False

    def __str__(self) -> str:
        place = f"turn {self.turn}: " if self.turn else ""
        delta = "" if self.delta_ms is None else f" ({self.delta_ms:+g} ms)"
        return f"{place}{self.what}: {self.before} -> {self.now}{delta}{', modelled' if self.modelled else ''}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test gave. `again`: the command that runs it again; `wall_us`: how long it took, for people, never judged."""

    name: str
    file: str
    line: int
    status: Status
    findings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()
    notices: tuple[str, ...] = ()
    again: str = ""
    level: str = ""
    modelled_share: float = 0.0
    wall_us: int = 0

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def to_json(self) -> dict[str, Any]:
        """Everything, times in ms."""
        known = asdict(self)
        known["status"] = str(self.status)
        return {**{k: v for k, v in known.items() if k != "wall_us"}, "wall_ms": ms(self.wall_us)}


def counts(outcomes: Iterable[Outcome]) -> dict[Status, int]:
    """How many had each status."""
    found = dict.fromkeys(Status, 0)
    for outcome in outcomes:
        found[outcome.status] += 1
    return found


def summary(outcomes: Sequence[Outcome]) -> str:
    """``2 failed, 98 passed``."""
    known = counts(outcomes)
    return ", ".join(f"{known[s]} {s}" for s in (Status.ERROR, Status.FAILED, Status.PASSED) if known[s]) or "no tests"
