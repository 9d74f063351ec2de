"""A plot of points with their ranges, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT, _LEFT, _BELOW, _EDGE = 720, 440, 70, 50, 20
_TICKS = 6
_STRONG, _FAINT, _LINES = "#1f6fb2", "#777777", "#e4e4e4"

Ends = tuple[float, float]
"""Both ends of a range."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point. A `strong` one is drawn in colour, over the others, with its ranges."""

    x: float
    y: float
    title: str
    strong: bool = True
    x_range: Ends | None = None
    y_range: Ends | None = None


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values from `low` to `high`, a line at each `step`, on the pixels from `first` to `last`."""

    low: float
    high: float
    step: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def lines(self) -> Iterator[float]:
        """The values that have a line."""
        return (self.low + number * self.step for number in range(round((self.high - self.low) / self.step) + 1))


def scatter(points: Sequence[Point], x_label: str, y_label: str, *, diagonal: bool = False) -> str:
    """The plot of the points. `diagonal`: both axes have the same values, with a line where x is y."""
    xs = [value for point in points for value in (point.x, *(point.x_range or ()))]
    ys = [value for point in points for value in (point.y, *(point.y_range or ()))]
    x = _axis(xs + ys if diagonal else xs, _LEFT, _WIDTH - _EDGE)
    y = _axis(xs + ys if diagonal else ys, _HEIGHT - _BELOW, _EDGE)
    parts = [*_grid(x, y, x_label, y_label)]
    if diagonal:
        parts.append(_line(x.at(x.low), y.at(y.low), x.at(x.high), y.at(y.high), _FAINT))
    for point in sorted(points, key=lambda point: point.strong):
        parts += _drawn(point, x, y)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _axis(values: Sequence[float], first: float, last: float) -> _Axis:
    low, high = min(values, default=0), max(values, default=1)
    step = _round_step((high - low) / _TICKS or 1)
    low = floor(low / step) * step
    return _Axis(low, max(ceil(high / step) * step, low + step), step, first, last)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 ... and 0.5, 0.2 ... that is not smaller."""
    ten = 10.0 ** floor(log10(least))
    return next(step * ten for step in (1, 2, 5, 10) if step * ten >= least * (1 - 1e-9))


def _grid(x: _Axis, y: _Axis, x_label: str, y_label: str) -> Iterator[str]:
    for value in x.lines():
        yield _line(x.at(value), y.first, x.at(value), y.last, _LINES)
        yield _text(x.at(value), y.first + 18, f"{value:g}")
    for value in y.lines():
        yield _line(x.first, y.at(value), x.last, y.at(value), _LINES)
        yield _text(x.first - 8, y.at(value) + 4, f"{value:g}", "end")
    yield _text((x.first + x.last) / 2, _HEIGHT - 10, x_label)
    middle = (y.first + y.last) / 2
    yield f'<g transform="rotate(-90 16 {middle:.0f})">{_text(16, middle, y_label)}</g>'


def _drawn(point: Point, x: _Axis, y: _Axis) -> Iterator[str]:
    colour, radius = (_STRONG, 3.5) if point.strong else (_FAINT, 2)
    at_x, at_y = x.at(point.x), y.at(point.y)
    if point.x_range is not None:
        yield _line(x.at(point.x_range[0]), at_y, x.at(point.x_range[1]), at_y, colour, 0.5)
    if point.y_range is not None:
        yield _line(at_x, y.at(point.y_range[0]), at_x, y.at(point.y_range[1]), colour, 0.5)
    title = f"<title>{escape(point.title)}</title>"
    yield f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="{radius}" fill="{colour}" opacity="0.8">{title}</circle>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, opacity: float = 1) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-opacity="{opacity:g}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#333333" text-anchor="{anchor}">{escape(text)}</text>'
