"""The outcome of a test, which progress lines, tables, JUnit, Markdown and GitHub annotations show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from flowkit.clock import ms

_DELAYS = ("ttfa", "answer")


class Status(StrEnum):
    """``failed``: an expectation was not met. ``error``: the test could not be judged."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as expected, with the line that caused it, or else the line that expects it."""

    what: str
    file: str
    line: int
    column: int = 1
    cause: str = ""
    """The setting that did it, such as ``stages.vad.end: 600ms``; empty if it is not known."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


class ChangeVerdict(StrEnum):
    """Whether a change is good for the user."""

    BETTER = "better"
    WORSE = "worse"
    UNSURE = "cannot be judged"
    OTHER = "other"
    """Neither good nor bad by itself, such as another clause."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure or text that differs from the approved one."""

    turn: int
    """Number of the turn; 0 for the whole session."""
    what: str
    """Which figure or text."""
    before: str
    """The approved value, as people read it."""
    now: str
    """The new value, as people read it."""
    delta_ms: float | None = None
    """The difference, if both are durations."""
    modelled: bool = False
    """Whether the new value depends on a modelled answer."""
    odds: str = ""
    """How likely the turn is, if it might be otherwise."""

    @property
    def verdict(self) -> ChangeVerdict:
        """What the change means for the user. What depends on a modelled answer, or might be otherwise, cannot be judged."""
        if self.what in _DELAYS:
            found = ChangeVerdict.BETTER if self.before == "none" or (self.delta_ms or 0) < 0 else ChangeVerdict.WORSE
        elif self.what == "end_reason":
            found = ChangeVerdict.WORSE if self.before == "'completed'" else ChangeVerdict.BETTER
        elif self.what == "interrupts":
            found = ChangeVerdict.WORSE if int(self.now) > int(self.before) else ChangeVerdict.BETTER
        elif self.what == "turn":
            found = ChangeVerdict.WORSE
        else:
            return ChangeVerdict.OTHER
        return ChangeVerdict.UNSURE if self.marks else found

    @property
    def marks(self) -> str:
        """What a reader must know about the new value; empty if it is certain."""
        return "".join(f", {mark}" for mark in ("modelled" * self.modelled, self.odds) if mark)

    def __str__(self) -> str:
        place = f"turn {self.turn}: " if self.turn else ""
        delta = "" if self.delta_ms is None else f" ({self.delta_ms:+g} ms)"
        return f"{place}{self.what}: {self.before} -> {self.now}{delta}{self.marks}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one test."""

    name: str
    file: str
    line: int
    status: Status
    findings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()
    notices: tuple[str, ...] = ()
    again: str = ""
    """The command that runs it again."""
    level: str = ""
    modelled_share: float = 0.0
    wall_us: int = 0
    """How long it took. Only shown, never judged."""
    corpus: bool = False
    """Whether only what is worse fails, as for one call of many."""
    hints: tuple[str, ...] = ()
    """What the pipeline could do better. Shown for tests that passed, too."""

    @property
    def place(self) -> str:
        """File and line of the test."""
        return f"{self.file}:{self.line}"

    def to_json(self) -> dict[str, Any]:
        """All fields, with times in milliseconds."""
        known = asdict(self)
        known["status"] = str(self.status)
        return {**{k: v for k, v in known.items() if k != "wall_us"}, "wall_ms": ms(self.wall_us)}


def counts(outcomes: Iterable[Outcome]) -> dict[Status, int]:
    """How many outcomes have each status."""
    found = dict.fromkeys(Status, 0)
    for outcome in outcomes:
        found[outcome.status] += 1
    return found


def summary(outcomes: Sequence[Outcome]) -> str:
    """The counts as text, such as ``2 failed, 98 passed``."""
    known = counts(outcomes)
    return ", ".join(f"{known[s]} {s}" for s in (Status.ERROR, Status.FAILED, Status.PASSED) if known[s]) or "no tests"


def verdicts(outcome: Outcome) -> dict[ChangeVerdict, int]:
    """How many changes of an outcome have each verdict."""
    found = dict.fromkeys(ChangeVerdict, 0)
    for change in outcome.changes:
        found[change.verdict] += 1
    return found
