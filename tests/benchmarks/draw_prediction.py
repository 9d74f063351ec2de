"""The picture and the table of predictions against reruns, from the rows of ``bench_prediction.py``.

    ROWS=rows.jsonl TALKS=500 EACH=3 python tests/benchmarks/bench_prediction.py
    python tests/benchmarks/draw_prediction.py rows.jsonl docs/pictures/prediction.svg

Prints the table in Markdown: of the truths, how many lie within their range, by setting.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.clock import ms
from flowkit.report.scatter import Point, PointStyle, scatter
from tests.benchmarks.bench_prediction import SETTINGS, Rerun, measured, rows_of

MOST = 400
"""More points are only a blot."""


def picture(found: Sequence[Rerun]) -> str:
    """The median TTFA of conversations: the predicted one with its range, over the true one. Grey ones lie outside."""
    return scatter(list(_points(found))[:MOST], "true median TTFA, ms", "predicted, with its range", diagonal=True)


def _points(found: Sequence[Rerun]) -> Iterator[Point]:
    for one in found:
        if one.ttfa_p50_us is not None and None not in one.ttfa_p50_us:
            true, value, low, high = (ms(us or 0) for us in one.ttfa_p50_us)
            title = f"{one.setting}, seed {one.seed}: {value:g} ({low:g}..{high:g}), true {true:g} ms"
            yield Point(
                true, value, title, PointStyle.STRONG if low <= true <= high else PointStyle.FAINT, y_range=(low, high)
            )


def table(found: Sequence[Rerun]) -> Iterator[str]:
    """The lines of the table."""
    names = ("this conversation", "the next one")
    yield (
        "| setting | predictions | "
        + " | ".join(f"{name}: TTFA p50 / p95 | turns / interrupted" for name in names)
        + " |"
    )
    yield "|---|---|" + "---|" * 2 * len(names)
    figures = measured(found)
    for setting in (*SETTINGS, "all"):
        covered = figures.get(setting, {}).get("covered_percent")
        if covered:
            cells = [f"{_share(covered[name], *pair)} %" for name in names for pair in _PAIRS]
            yield f"| `{setting}` | {figures[setting]['conversations']} | {' | '.join(cells)} |"
    every = {name: figures["all"]["covered_percent"][name]["all"]["within"] for name in names}
    yield ""
    yield "; ".join(f"{name}: {share} % of all truths" for name, share in every.items())


_PAIRS = (("ttfa_p50", "ttfa_p95"), ("turns", "interrupts"))


def _share(covered: dict[str, dict[str, float]], one: str, other: str) -> str:
    return " / ".join(f"{covered[figure]['within']:.0f}" if figure in covered else "-" for figure in (one, other))


def main(rows: str, target: str) -> None:
    """Write the picture, and print the table."""
    found = rows_of(Path(rows))
    Path(target).write_text(picture(found))
    print("\n".join(table(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
