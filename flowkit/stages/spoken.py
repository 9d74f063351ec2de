"""Changes what is spoken of a clause, and keeps its marks right: what was heard of a reply that is cut off stays known.

    clause = respoken(clause, re.compile("damn"), "beep")

A clause has two texts: `text` is what the model wrote, and `spoken` is what TTS gets. `marks` are pairs (length of a
prefix of `spoken`, length of the prefix of `text` that it stands for), and rise. ``flowkit.chunker.Chunk`` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from flowkit.chunker import Chunk, Reason
from flowkit.messages import Clause


def covered(clause: Clause, said: int) -> int:
    """The length of the prefix of `text` that the first `said` characters of `spoken` stand for."""
    return Chunk(clause.text, clause.spoken, 1, Reason.END, clause.marks).covered(said)


def respoken(clause: Clause, pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str]) -> Clause:
    """The clause with each match of `pattern` in `spoken` replaced, as ``re.sub`` does it, and with marks that fit.

    `text` stays as it is.

    Args:
        clause: the clause.
        pattern: what to replace. Matches without characters are left alone.
        by: what to say in place of a match, or a function that returns it. Backslashes mean nothing in it.
    """
    chunk = Chunk(clause.text, clause.spoken, 1, Reason.END, clause.marks)
    spoken, taken = "", 0
    points = [(0, chunk.covered(0))]
    for match in [*pattern.finditer(clause.spoken), None]:
        begin, end = (len(clause.spoken), len(clause.spoken)) if match is None else match.span()
        points += [(len(spoken) + n - taken, chunk.covered(n)) for n in range(taken + 1, begin + 1)]
        spoken, taken = spoken + clause.spoken[taken:begin], end
        if match is not None and begin < end:
            spoken += by if isinstance(by, str) else by(match)
            points.append((len(spoken), chunk.covered(end)))
    if spoken == clause.spoken:
        return clause
    points[-1] = (len(spoken), len(clause.text))
    return replace(clause, spoken=spoken, marks=_without_runs(points))


def _without_runs(points: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The marks for these points. A point in a run of even steps is left out, since it follows from the ends of the run."""
    steps = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(points)]
    inside = [step == after and step in ((1, 1), (1, 0)) for step, after in pairwise(steps)]
    return tuple(point for point, left_out in zip(points, [False, *inside, False], strict=False) if not left_out)
