"""Compares two sessions: the first message that differs with the causes on both sides, then turn by turn.

Times differ between any two live runs, and frames may be grouped differently. So the comparison looks at what each
stage handled, in order: kind, content, turn and fate. Frames, probabilities, credits and what the device was fed are
left out. Their effects are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from flowkit.clock import ms
from flowkit.config.budgets import PARTS
from flowkit.engine import Row
from flowkit.engine.journal import values_of
from flowkit.figures.report import Report, TurnReport
from flowkit.messages import Audio, Credit, Fed, Frames, Play, Probability, Silence

_NOT_COMPARED = (Frames, Probability, Credit, Fed, Play, Silence)
_LONGEST_CHAIN = 20


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first message at a stage that is not the same. `a` or `b` is None if that session has no more messages there."""

    stage: str
    a: Row | None
    b: Row | None
    causes_a: tuple[Row, ...]
    causes_b: tuple[Row, ...]


def first_difference(a: Sequence[Row], b: Sequence[Row]) -> FirstDifference | None:
    """The earliest difference between two journals, over all stages, or None."""
    ours, theirs = _by_stage(a), _by_stage(b)
    found: list[tuple[int, str, Row | None, Row | None]] = []
    for stage in dict.fromkeys([*ours, *theirs]):
        for one, other in zip_longest(ours.get(stage, ()), theirs.get(stage, ())):
            if one is None or other is None or _compared(one) != _compared(other):
                found.append((min(row.handled_us for row in (one, other) if row is not None), stage, one, other))
                break
    if not found:
        return None
    _, stage, one, other = min(found, key=lambda difference: difference[0])
    return FirstDifference(stage, one, other, chain(a, one), chain(b, other))


def chain(rows: Sequence[Row], row: Row | None) -> tuple[Row, ...]:
    """The causes of a row, the nearest first, back to the stimulus or timer that began it. At most 20."""
    causes: list[Row] = []
    wanted = None if row is None else row.cause
    # Backwards, because a cause comes before its effect. So one pass finds the whole chain.
    for known in reversed(rows):
        if wanted is None or not wanted[0] or len(causes) == _LONGEST_CHAIN:
            break
        if (known.stage, known.n) == wanted:
            causes.append(known)
            wanted = known.cause
    return tuple(causes)


def row_line(row: Row) -> str:
    """A row as text for people."""
    message = row.message
    by = f" < {row.cause_stage} {row.cause_n}" if row.cause_stage else ""
    waited = f" (sent {ms(row.sent_us):.1f})" if row.sent_us != row.handled_us else ""
    shown = ", ".join(
        repr(value) if len(repr(value)) < 90 else repr(value)[:87] + "..." for value in values_of(message)
    )
    gone = f" {row.fate}" if row.fate else ""
    call = f" call {row.call}" if row.call else ""
    at = f"epoch {row.epoch} turn {row.turn}{call}{gone}"
    return f"{ms(row.handled_us):10.1f} ms{waited} {row.stage} {row.n}{by} {row.lane} {row.kind}({shown}) {at}"


def _by_stage(rows: Sequence[Row]) -> dict[str, list[Row]]:
    stages: dict[str, list[Row]] = {}
    for row in rows:
        if not isinstance(row.message, _NOT_COMPARED):
            stages.setdefault(row.stage, []).append(row)
    return stages


def _compared(row: Row) -> tuple[Any, ...]:
    """What of a row must be the same."""
    message = row.message
    values = values_of(message)
    if type(message).__name__ == "PlaybackStarted":
        values = values[:1]  # without its time
    if isinstance(message, Audio):
        values = values[:4]  # without the total
    return (type(message).__name__, values, row.turn, row.fate)


# -- turn by turn ------------------------------------------------------------------------------------------------------


def difference_lines(a: Report, b: Report, first: FirstDifference | None) -> Iterator[str]:
    """The comparison as lines of text."""
    if first is None:
        yield "every stage handled the same messages in the same order"
    else:
        yield f"first difference, at stage '{first.stage}':"
        for mark, row, causes in (("-", first.a, first.causes_a), ("+", first.b, first.causes_b)):
            yield f"{mark} {'nothing more' if row is None else row_line(row)}"
            yield from (f"{mark}   because of {row_line(cause)}" for cause in causes)
    for one, other in zip_longest(a.turns, b.turns):
        yield from _turn_lines(one, other)
    yield from _listed("interrupt", [_interrupt(i) for i in a.interrupts], [_interrupt(i) for i in b.interrupts])
    yield from _listed("queue", [_queue(q) for q in a.queues], [_queue(q) for q in b.queues])


def _turn_lines(a: TurnReport | None, b: TurnReport | None) -> Iterator[str]:
    if a is None or b is None:
        turn = a or b
        assert turn is not None
        yield f"{'-' if b is None else '+'} turn {turn.turn} only here: {turn.user!r}{turn.marks}"
        return
    parts = [(name, _parts(a)[i], _parts(b)[i]) for i, name in enumerate(PARTS)]
    moved = [f"{name} {_signed(after - before)}" for name, before, after in parts if after != before]
    yield f"  turn {a.turn}: TTFA {_known(a.ttfa_us)} -> {_known(b.ttfa_us)} ms{b.marks}{': ' + ', '.join(moved) if moved else ''}"
    if a.answer_us != b.answer_us:
        yield f"    answer after {_known(a.answer_us)} -> {_known(b.answer_us)} ms"
    if a.end_reason != b.end_reason:
        yield f"    {a.end_reason} -> {b.end_reason}"
    if a.user != b.user:
        yield f"    user: {a.user!r} -> {b.user!r}"
    if [c.text for c in a.clauses] != [c.text for c in b.clauses]:
        left = [f"{clause.text.strip()!r} ({clause.reason})" for clause in a.clauses]
        right = [
            f"{clause.text.strip()!r} ({clause.reason}{', modelled' if clause.modelled else ''})"
            for clause in b.clauses
        ]
        yield from (
            f"    - {one or ''}\n    + {other or ''}" for one, other in zip_longest(left, right) if one != other
        )


def _parts(turn: TurnReport) -> tuple[int, ...]:
    return turn.parts_us or (0,) * len(PARTS)


def _known(us: int | None) -> str:
    return "none" if us is None else f"{ms(us):.1f}"


def _signed(us: int) -> str:
    return f"{ms(us):+.1f}"


def _interrupt(interrupt: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in interrupt.to_json().items() if name != "t_ms")


def _queue(queue: Any) -> str:
    filled = f"high water {queue.high_water} of {queue.max}"
    return f"{queue.stage}: {filled}, dropped {queue.dropped}, blocked {ms(queue.blocked_us)} ms"


def _listed(what: str, a: list[str], b: list[str]) -> Iterator[str]:
    for one, other in zip_longest(a, b):
        if one != other:
            yield from (f"  {mark} {what} {text}" for mark, text in (("-", one), ("+", other)) if text is not None)


def difference_json(a: Report, b: Report, first: FirstDifference | None) -> dict[str, Any]:
    """The comparison as one JSON object."""
    difference = None
    if first is not None:
        difference = {
            "stage": first.stage,
            "a": None if first.a is None else row_line(first.a),
            "b": None if first.b is None else row_line(first.b),
            "causes_a": [row_line(row) for row in first.causes_a],
            "causes_b": [row_line(row) for row in first.causes_b],
        }
    return {"flowkit": 1, "same": first is None, "first_difference": difference, "a": a.to_json(), "b": b.to_json()}
