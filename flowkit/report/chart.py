"""What the plots share, as SVG: axes with round steps, a grid with its labels, lines, dots and texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

STRONG, FAINT = "#1f6fb2", "#777777"
_LINES, _TEXTS = "#e4e4e4", "#333333"
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high`, a line at each `step`, on the pixels from `first` to `last`."""

    low: float
    high: float
    step: float
    first: float
    last: float
    label: str
    unit: str = ""

    def at(self, value: float) -> float:
        """The pixel of a value. One beyond the end is drawn at the end."""
        return self.first + (min(value, self.high) - self.low) / (self.high - self.low) * (self.last - self.first)

    def lines(self) -> Iterator[tuple[float, str]]:
        """The pixels that have a line, with what is written there."""
        for number in range(round((self.high - self.low) / self.step) + 1):
            value = self.low + number * self.step
            yield self.at(value), f"{value:g}{self.unit}"


def axis(values: Sequence[float], first: float, last: float, label: str) -> Axis:
    """An axis from one round value to another, so that all the values are between them."""
    low, high = min(values, default=0), max(values, default=1)
    step = _round_step((high - low) / _TICKS or 1)
    low = floor(low / step) * step
    return Axis(low, max(ceil(high / step) * step, low + step), step, first, last, label)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 ... and 0.5, 0.2 ... that is not smaller."""
    ten = 10.0 ** floor(log10(least))
    return next(step * ten for step in (1, 2, 5, 10) if step * ten >= least * (1 - 1e-9))


def drawing(width: int, height: int, parts: Iterable[str]) -> str:
    """The file."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )


def grid(x: Axis, y: Axis, height: int) -> Iterator[str]:
    """The lines of both axes, and their labels."""
    for at, value in x.lines():
        yield line(at, y.first, at, y.last, _LINES)
        yield text(at, y.first + 18, value)
    for at, value in y.lines():
        yield line(x.first, at, x.last, at, _LINES)
        yield text(x.first - 8, at + 4, value, anchor="end")
    yield text((x.first + x.last) / 2, height - 10, x.label)
    middle = (y.first + y.last) / 2
    yield f'<g transform="rotate(-90 15 {middle:.0f})">{text(15, middle, y.label)}</g>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, opacity: float = 1) -> str:
    """A straight line."""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-opacity="{opacity:g}"/>'


def dot(x: float, y: float, radius: float, colour: str, title: str, opacity: float = 1, *, ring: bool = False) -> str:
    """A dot, or a ring, that says its title when pointed at."""
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
    drawn = f'fill="none" stroke="{colour}"' if ring else f'fill="{colour}"'
    return f'<circle {place} {drawn} opacity="{opacity:g}"><title>{escape(title)}</title></circle>'


def text(x: float, y: float, words: str, colour: str = _TEXTS, anchor: str = "middle") -> str:
    """A text at, before or behind a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'
