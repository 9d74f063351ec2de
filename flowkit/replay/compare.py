"""Two sessions side by side: the first message that differs, with both chains of causes, then turn by turn.

Times differ between any two live runs, and frames may be run-lengths, so what is compared is what each stage handled, in order:
kind, content, turn and fate. Frames, probabilities and credits are left out; what they led to is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from flowkit.clock import ms
from flowkit.messages import Audio, Credit, Frames, Probability
from flowkit.trace.figures import PARTS, Report, TurnReport
from flowkit.trace.rows import RowTuple, content_of

_UNCOMPARED = (Frames, Probability, Credit)
_LONGEST_CHAIN = 20


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """At one stage, the first message that is not the same. Either is None where that session has no more messages."""

    stage: str
    a: RowTuple | None
    b: RowTuple | None
    causes_a: tuple[RowTuple, ...]
    causes_b: tuple[RowTuple, ...]


def first_difference(a: Sequence[RowTuple], b: Sequence[RowTuple]) -> FirstDifference | None:
    """The earliest difference of two journals, over all stages; None if every stage handled the same."""
    ours, theirs = _by_stage(a), _by_stage(b)
    found: list[tuple[int, str, RowTuple | None, RowTuple | None]] = []
    for stage in dict.fromkeys([*ours, *theirs]):
        for one, other in zip_longest(ours.get(stage, ()), theirs.get(stage, ())):
            if one is None or other is None or _said(one) != _said(other):
                found.append((min(row[5] for row in (one, other) if row is not None), stage, one, other))
                break
    if not found:
        return None
    _, stage, one, other = min(found, key=lambda difference: difference[0])
    return FirstDifference(stage, one, other, chain(a, one), chain(b, other))


def chain(rows: Sequence[RowTuple], row: RowTuple | None) -> tuple[RowTuple, ...]:
    """The row's causes, nearest first, back to the stimulus or timer that began it."""
    causes: list[RowTuple] = []
    wanted = None if row is None else (row[2], row[3])
    for known in reversed(rows):
        if wanted is None or not wanted[0] or len(causes) == _LONGEST_CHAIN:
            break
        if (known[0], known[1]) == wanted:
            causes.append(known)
            wanted = (known[2], known[3])
    return tuple(causes)


def row_line(row: RowTuple) -> str:
    """A row for people."""
    stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, fate = row
    by = f" < {cause} {cause_n}" if cause else ""
    waited = f" (sent {ms(sent_us):.1f})" if sent_us != now_us else ""
    shown = ", ".join(
        repr(value) if len(repr(value)) < 90 else repr(value)[:87] + "..."
        for value in content_of(type(message)).values(message)
    )
    gone = f" {fate}" if fate else ""
    return f"{ms(now_us):10.1f} ms{waited} {stage} {n}{by} {lane} {type(message).__name__}({shown}) epoch {epoch} turn {turn}{gone}"


def _by_stage(rows: Sequence[RowTuple]) -> dict[str, list[RowTuple]]:
    stages: dict[str, list[RowTuple]] = {}
    for row in rows:
        if not isinstance(row[9], _UNCOMPARED):
            stages.setdefault(row[0], []).append(row)
    return stages


def _said(row: RowTuple) -> tuple[Any, ...]:
    """What of a row must be the same."""
    message = row[9]
    told = content_of(type(message)).values(message)
    if type(message).__name__ == "PlaybackStarted":
        told = told[:1]
    if isinstance(message, Audio):
        told = told[:4]
    return (type(message).__name__, told, row[8], row[10])


# -- turn by turn ------------------------------------------------------------------------------------------------------


def difference_lines(a: Report, b: Report, first: FirstDifference | None) -> Iterator[str]:
    """The comparison as text."""
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
        there = a or b
        assert there is not None
        yield f"{'-' if b is None else '+'} turn {there.turn} only here: {there.user!r}"
        return
    parts = [(name, _parts(a)[i], _parts(b)[i]) for i, name in enumerate(PARTS)]
    moved = [f"{name} {_signed(after - before)}" for name, before, after in parts if after != before]
    mark = " (modelled)" if b.modelled else ""
    yield f"  turn {a.turn}: TTFA {_ttfa(a)} -> {_ttfa(b)} ms{mark}{': ' + ', '.join(moved) if moved else ''}"
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


def _ttfa(turn: TurnReport) -> str:
    return "none" if turn.ttfa_us is None else f"{ms(turn.ttfa_us):.1f}"


def _signed(us: int) -> str:
    return f"{ms(us):+.1f}"


def _interrupt(interrupt: Any) -> str:
    told = interrupt.to_json()
    return ", ".join(f"{name} {value}" for name, value in told.items() if name != "t_ms")


def _queue(queue: Any) -> str:
    filled = f"high water {queue.high_water} of {queue.max}"
    return f"{queue.stage}: {filled}, dropped {queue.dropped}, blocked {ms(queue.blocked_us)} ms"


def _listed(what: str, a: list[str], b: list[str]) -> Iterator[str]:
    for one, other in zip_longest(a, b):
        if one != other:
            yield from (f"  {mark} {what} {told}" for mark, told in (("-", one), ("+", other)) if told is not None)


def difference_json(a: Report, b: Report, first: FirstDifference | None) -> dict[str, Any]:
    """The comparison as one object."""
    told = None
    if first is not None:
        told = {
            "stage": first.stage,
            "a": None if first.a is None else row_line(first.a),
            "b": None if first.b is None else row_line(first.b),
            "causes_a": [row_line(row) for row in first.causes_a],
            "causes_b": [row_line(row) for row in first.causes_b],
        }
    return {"flowkit": 1, "same": first is None, "first_difference": told, "a": a.to_json(), "b": b.to_json()}
