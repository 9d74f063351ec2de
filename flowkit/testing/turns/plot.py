"""The plot of a bench, as SVG: the share of pauses that are cut against the mean delay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from flowkit.testing.turns.policies import PolicyOutcome
from flowkit.testing.turns.result import Result

_WIDTH, _HEIGHT, _LEFT, _BELOW = 420, 320, 64, 44
"""Readable on a phone."""
_LONGEST_MS = 1_400
_COLOURS = ("#1f6fb2", "#c05a1c", "#3c8c4a", "#8a4fa3")
_ALONE = "#777777"


def plot(results: Sequence[Result]) -> str:
    """The plot of one result, or of several to compare. A ring marks the point in use."""
    parts = [*_axes(), _curve(results[0].alone, _ALONE)]
    legend = [("silence alone", _ALONE)]
    for result, colour in zip(results, _COLOURS, strict=False):
        parts.append(_curve(front(result.grid), colour))
        parts.append(_ring(result.in_use, colour))
        legend.append((f"{result.title} (ring: in use)", colour))
    parts += [_text(_WIDTH - 24, 34 + 16 * n, title, colour, "end") for n, (title, colour) in enumerate(legend)]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def front(outcomes: Iterable[PolicyOutcome]) -> list[PolicyOutcome]:
    """The outcomes that no other one beats both in cuts and in delay, by delay."""
    kept: list[PolicyOutcome] = []
    for outcome in sorted(outcomes, key=lambda outcome: (outcome.mean_ms, outcome.share)):
        if not kept or outcome.share < kept[-1].share:
            kept.append(outcome)
    return kept


def _x(ms: float) -> float:
    return _LEFT + min(ms, _LONGEST_MS) / _LONGEST_MS * (_WIDTH - _LEFT - 20)


def _y(share: float) -> float:
    return _HEIGHT - _BELOW - share * (_HEIGHT - _BELOW - 20)


def _axes() -> Iterator[str]:
    for ms in range(0, _LONGEST_MS + 1, 200):
        yield _rule(_x(ms), _y(0), _x(ms), _y(1))
        yield _text(_x(ms), _y(0) + 18, str(ms))
    for percent in range(0, 101, 20):
        yield _rule(_x(0), _y(percent / 100), _x(_LONGEST_MS), _y(percent / 100))
        yield _text(_x(0) - 8, _y(percent / 100) + 4, f"{percent} %", anchor="end")
    yield _text(_x(_LONGEST_MS / 2), _HEIGHT - 10, "mean delay after the end of speech, ms")
    yield f'<g transform="rotate(-90 14 {_y(0.5):.0f})">{_text(14, _y(0.5), "pauses inside a turn that are cut")}</g>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e4e4e4"/>'


def _curve(outcomes: Sequence[PolicyOutcome], colour: str) -> str:
    points = " ".join(f"{_x(outcome.mean_ms):.1f},{_y(outcome.share):.1f}" for outcome in outcomes)
    dots = "".join(_dot(outcome, colour, 3, 1) for outcome in outcomes)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'


def _dot(outcome: PolicyOutcome, colour: str, radius: float, opacity: float) -> str:
    title = escape(f"{outcome.policy.name}: {outcome.share:.1%} cut, {round(outcome.mean_ms)} ms")
    place = f'cx="{_x(outcome.mean_ms):.1f}" cy="{_y(outcome.share):.1f}"'
    return f'<circle {place} r="{radius}" fill="{colour}" opacity="{opacity}"><title>{title}</title></circle>'


def _ring(outcome: PolicyOutcome, colour: str) -> str:
    place = f'cx="{_x(outcome.mean_ms):.1f}" cy="{_y(outcome.share):.1f}"'
    return f'<circle {place} r="9" fill="none" stroke="{colour}" stroke-width="2.5"/>'


def _text(x: float, y: float, text: str, colour: str = "#333333", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
