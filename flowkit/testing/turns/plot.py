"""The plot of a bench, as SVG: the share of pauses that are cut against the mean delay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowkit.report.chart import FAINT, STRONG, Axis, dot, drawing, grid, text
from flowkit.testing.turns.policies import PolicyOutcome
from flowkit.testing.turns.result import Result

_WIDTH, _HEIGHT, _LEFT, _BELOW, _EDGE = 420, 320, 64, 44, 20
"""Readable on a phone."""
_X = Axis(0, 1_400, 200, _LEFT, _WIDTH - _EDGE, "mean delay after the end of speech, ms")
_Y = Axis(0, 100, 20, _HEIGHT - _BELOW, _EDGE, "pauses inside a turn that are cut", " %")
_COLOURS = (STRONG, "#c05a1c", "#3c8c4a", "#8a4fa3")


def plot(results: Sequence[Result]) -> str:
    """The plot of one result, or of several to compare. A ring marks the point in use."""
    parts = [*grid(_X, _Y, _HEIGHT), _curve(results[0].alone, FAINT)]
    legend = [("silence alone", FAINT)]
    for result, colour in zip(results, _COLOURS, strict=False):
        parts.append(_curve(front(result.grid), colour))
        parts.append(_ring(result.in_use, colour))
        legend.append((f"{result.title} (ring: in use)", colour))
    parts += [text(_WIDTH - 24, 34 + 16 * n, title, colour, "end") for n, (title, colour) in enumerate(legend)]
    return drawing(_WIDTH, _HEIGHT, parts)


def front(outcomes: Iterable[PolicyOutcome]) -> list[PolicyOutcome]:
    """The outcomes that no other one beats both in cuts and in delay, by delay."""
    kept: list[PolicyOutcome] = []
    for outcome in sorted(outcomes, key=lambda outcome: (outcome.mean_ms, outcome.share)):
        if not kept or outcome.share < kept[-1].share:
            kept.append(outcome)
    return kept


def _place(outcome: PolicyOutcome) -> tuple[float, float]:
    return _X.at(outcome.mean_ms), _Y.at(100 * outcome.share)


def _curve(outcomes: Sequence[PolicyOutcome], colour: str) -> str:
    places = [_place(outcome) for outcome in outcomes]
    dots = "".join(dot(*place, 3, colour, _title(outcome)) for place, outcome in zip(places, outcomes, strict=True))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'


def _title(outcome: PolicyOutcome) -> str:
    return f"{outcome.policy.name}: {outcome.share:.1%} cut, {round(outcome.mean_ms)} ms"


def _ring(outcome: PolicyOutcome, colour: str) -> str:
    x, y = _place(outcome)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="none" stroke="{colour}" stroke-width="2.5"/>'
