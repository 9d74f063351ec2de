"""What the promises share."""

from __future__ import annotations

from collections.abc import Iterator

from flowkit.clock import US_PER_S
from flowkit.engine import Fate, Row
from flowkit.messages import (
    Message,
)
from flowkit.stages.base import Emit
from flowkit.testing.evidence import Evidence, Step


class Broken(AssertionError):
    """A session did not keep a promise."""


def hold(kept: bool, what: str) -> None:
    """Raise Broken if a promise was not kept."""
    if not kept:
        raise Broken(what)


def steps(evidence: Evidence, stage: str) -> Iterator[Step]:
    """The steps of a stage."""
    return (step for step in evidence.steps if step.stage == stage)


def emitted(step: Step) -> Iterator[Message]:
    """The messages that a step emitted."""
    return (action.message for action in step.actions if isinstance(action, Emit))


def us(samples: int, rate_hz: int) -> int:
    """The length of `samples` samples in microseconds."""
    return samples * US_PER_S // rate_hz


def handled(row: Row, kind: type[Message]) -> bool:
    """Whether a row is a handled message of this kind."""
    return type(row.message) is kind and row.fate is Fate.HANDLED
