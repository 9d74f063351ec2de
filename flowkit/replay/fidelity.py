"""How well predictions hold on recordings of one's own: one predicts the figures of another, which is known.

Two recordings of one pipeline are two talks like each other. So the range that one gives for *the next one* should hold the
other's figures nine times in ten. Where the second was recorded with other settings, these are what is predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from flowkit.clock import ms
from flowkit.figures.metrics import measure
from flowkit.figures.outlook import Range, Ranges
from flowkit.figures.report import Report
from flowkit.replay.predict import next_ranges, ranges
from flowkit.trace.reader import Trace

FIGURES = ("ttfa_p50", "ttfa_p95")
"""What talks of another length can be compared by."""
ENOUGH = 10
"""With fewer recordings, ranges are at least so wide."""
_SHARE = 0.9


@dataclass
class Fidelity:
    """How far outside of their range the truths were, in microseconds, by figure; negative inside."""

    outside_us: dict[str, list[int]] = field(default_factory=dict)

    def add(self, predicted: Ranges, true: Report) -> None:
        """Add a talk that was predicted from another one."""
        truth = ranges([true])
        for figure in FIGURES:
            found: Range = getattr(predicted, figure)
            value = getattr(truth, figure).low
            if found.low is not None and found.high is not None and value is not None:
                self.outside_us.setdefault(figure, []).append(max(found.low - value, value - found.high))

    def covered(self, figure: str) -> float:
        """The share of the truths that lie in their range."""
        return sum(outside <= 0 for outside in self.outside_us[figure]) / len(self.outside_us[figure])

    def wider_us(self, figure: str) -> int | None:
        """By how much ranges must be wider at both ends to hold nine in ten of the next talks, by split conformal prediction.
        None: there are too few recordings to say.

        Source: Lei et al., Distribution-Free Predictive Inference for Regression, 2018.
        """
        known = sorted(self.outside_us[figure])
        place = ceil((len(known) + 1) * _SHARE)
        return known[place - 1] if len(known) >= ENOUGH and place <= len(known) else None

    def to_json(self) -> dict[str, Any]:
        """The figures by name."""
        return {
            figure: {
                "predictions": len(known),
                "covered": round(self.covered(figure), 3),
                "wider_ms": None if (wider := self.wider_us(figure)) is None else ms(wider),
            }
            for figure, known in self.outside_us.items()
        }


def fidelity(pairs: Iterable[tuple[Trace, Trace, Sequence[str]]]) -> Fidelity:
    """Predict the second trace of each pair from the first one. The settings are those that the second has and the first has not.

    Raises the errors of ``simulate``.
    """
    found = Fidelity()
    for source, target, settings in pairs:
        rows = target.journal()
        true = measure(rows, plan=target.layout, voiced=target.reference)
        found.add(next_ranges(source, tuple(settings)), true)
    return found
