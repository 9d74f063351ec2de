"""A plot of points with their ranges, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from flowkit.report.chart import FAINT, STRONG, Axis, axis, dot, drawing, grid, line

_WIDTH, _HEIGHT, _LEFT, _BELOW, _EDGE = 720, 440, 70, 50, 20

Ends = tuple[float, float]
"""Both ends of a range."""


class PointStyle(Enum):
    """How a point is drawn."""

    STRONG = auto()
    """In colour, over the others."""
    FAINT = auto()
    RING = auto()
    """It does not count."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point, with its ranges."""

    x: float
    y: float
    title: str
    style: PointStyle = PointStyle.STRONG
    x_range: Ends | None = None
    y_range: Ends | None = None


def scatter(points: Sequence[Point], x_label: str, y_label: str, *, diagonal: bool = False) -> str:
    """The plot of the points. `diagonal`: both axes have the same values, with a line where x is y."""
    xs = [value for point in points for value in (point.x, *(point.x_range or ()))]
    ys = [value for point in points for value in (point.y, *(point.y_range or ()))]
    x = axis(xs + ys if diagonal else xs, _LEFT, _WIDTH - _EDGE, x_label)
    y = axis(xs + ys if diagonal else ys, _HEIGHT - _BELOW, _EDGE, y_label)
    parts = [*grid(x, y, _HEIGHT)]
    if diagonal:
        parts.append(line(x.at(x.low), y.at(y.low), x.at(x.high), y.at(y.high), FAINT))
    for point in sorted(points, key=lambda point: point.style is PointStyle.STRONG):
        parts += _drawn(point, x, y)
    return drawing(_WIDTH, _HEIGHT, parts)


def _drawn(point: Point, x: Axis, y: Axis) -> Iterator[str]:
    colour, radius = (STRONG, 3.5) if point.style is PointStyle.STRONG else (FAINT, 2)
    at_x, at_y = x.at(point.x), y.at(point.y)
    if point.x_range is not None:
        yield line(x.at(point.x_range[0]), at_y, x.at(point.x_range[1]), at_y, colour, 0.5)
    if point.y_range is not None:
        yield line(at_x, y.at(point.y_range[0]), at_x, y.at(point.y_range[1]), colour, 0.5)
    yield dot(at_x, at_y, radius, colour, point.title, 0.8, ring=point.style is PointStyle.RING)
