"""The plan as an SVG drawing, made without any other program: stages in a column, data on the right, control on the
left."""

from __future__ import annotations

from html import escape

from flowkit.plan.draw import is_control, label, title
from flowkit.plan.graph import Edge, Plan

_BOX_W, _BOX_H, _GAP = 260, 40, 44
_LEFT, _TOP, _ARC = 220, 20, 34
_STYLE = (
    "text{font:13px sans-serif}.box{fill:#fff;stroke:#345;stroke-width:1.5}"
    ".data{fill:none;stroke:#345;stroke-width:1.5}.label{font-size:11px;fill:#345}"
    ".control{fill:none;stroke:#b53;stroke-width:1;stroke-dasharray:4 3}.signal{font-size:11px;fill:#b53}"
)


def svg(plan: Plan) -> str:
    """A self-contained drawing, dark on white, so that it can be read on any page."""
    rows = {stage.id: index for index, stage in enumerate(plan.stages)}
    height = _TOP * 2 + len(rows) * (_BOX_H + _GAP) - _GAP
    width = _LEFT + _BOX_W + 330
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{escape(plan.name)}</title><style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0 0L8 4L0 8z" fill="#345"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    parts += [_data(edge, rows) for edge in plan.edges if not is_control(plan, edge)]
    parts += _control(plan, rows)
    for stage in plan.stages:
        y = _y(rows[stage.id])
        parts.append(f'<rect class="box" x="{_LEFT}" y="{y}" width="{_BOX_W}" height="{_BOX_H}" rx="6"/>')
        parts.append(f'<text x="{_LEFT + _BOX_W // 2}" y="{y + 25}" text-anchor="middle">{escape(title(stage))}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _y(row: int) -> int:
    return _TOP + row * (_BOX_H + _GAP)


def _data(edge: Edge, rows: dict[str, int]) -> str:
    """Straight down to the next stage; around the right side to any other."""
    first, last = rows[edge.source], rows[edge.target]
    text = escape(label(edge) if edge.bound else f"{label(edge)}, no bound")
    if last == first + 1:
        x, y0, y1 = _LEFT + _BOX_W // 2, _y(first) + _BOX_H, _y(last)

        return (
            f'<path class="data" d="M{x} {y0}V{y1}" marker-end="url(#tip)"/>'
            f'<text class="label" x="{x + 6}" y="{(y0 + y1) // 2 + 4}">{text}</text>'
        )
    x = _LEFT + _BOX_W
    reach = x + _ARC * abs(last - first)
    y0, y1 = _y(first) + 26, _y(last) + 14
    return (
        f'<path class="data" d="M{x} {y0}C{reach} {y0} {reach} {y1} {x} {y1}" marker-end="url(#tip)"/>'
        f'<text class="label" x="{(x + 3 * reach) // 4 + 4}" y="{(y0 + y1) // 2 + 4}">{text}</text>'
    )


def _control(plan: Plan, rows: dict[str, int]) -> list[str]:
    """Control on the left, one curve per pair of stages, with the names of everything that flows along it."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for edge in plan.edges:
        if is_control(plan, edge):
            pairs.setdefault((edge.source, edge.target), []).append(edge.output)
    curves = []
    for (source, target), outputs in pairs.items():
        y0, y1 = _y(rows[source]) + 14, _y(rows[target]) + 26
        reach = _LEFT - _ARC * abs(rows[source] - rows[target])
        middle = (_LEFT + 3 * reach) // 4
        curves.append(
            f'<path class="control" d="M{_LEFT} {y0}C{reach} {y0} {reach} {y1} {_LEFT} {y1}" marker-end="url(#tip)"/>'
            f'<text class="signal" x="{middle - 4}" y="{(y0 + y1) // 2}" text-anchor="end">{escape(", ".join(outputs))}</text>'
        )
    return curves
