"""A sweep: many settings over many traces, and which of them are not beaten by any other.

Each job replays one trace with some of the settings. What comes back are small records of figures, so it does not matter
where a job runs: the same sweep gives the same table.

Every setting is replayed in the middle world. Those that are not beaten are then drawn in other worlds (``replay.predict``),
so that their figures have ranges. A setting that most of the traces cannot judge beats no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from flowkit.config.faults import InjectedFault
from flowkit.errors import UsageError
from flowkit.figures.report import Report, summary
from flowkit.jobs import Workers, in_order
from flowkit.options import format_duration, parse_duration
from flowkit.replay.predict import WORLDS, worlds_of
from flowkit.replay.settings import changed_plan, recorded_plan
from flowkit.replay.simulate import MISSED, Prepared, prepare
from flowkit.trace.reader import read_trace

_RANGE = re.compile(
    r"(?P<first>[\d.]+)(?P<unit>[a-z]*)\.\.(?P<last>[\d.]+)(?P<last_unit>[a-z]*)/(?P<step>[\d.]+)(?P<step_unit>[a-z]*)"
)
_MOST = 10_000
"""Settings of a sweep."""
_SHARE = 8
"""Settings of a job: a trace is read once for so many."""
FIGURES: Mapping[str, str] = {
    "ttfa.p50": "median time to first audio, in ms",
    "ttfa.p95": "its 95th percentile",
    "turns": "turns with sound",
    "interrupted": "replies that were interrupted",
    "requests": "turns that were answered, with those that the user did not hear: each asks the LLM",
    "characters": "characters of their clauses: each is sent to the voice",
    "cost": "what providers with a `price` cost",
    "modelled": "turns whose sound is modelled",
}
"""The figures of a setting, over all traces. Less is better, except for `turns`."""
_SUMS = ("turns", "interrupted", "requests", "characters", "modelled")
OBJECTIVES = ("ttfa.p50", "interrupted", "requests")
"""What is compared, unless something else is asked for."""


class Tally(NamedTuple):
    """The figures of one trace with one setting."""

    ttfa_us: tuple[int, ...]
    turns: int
    interrupted: int
    requests: int
    characters: int
    modelled: int
    cost: float | None
    assumed: int
    """Where the replay had to guess an answer."""
    refusal: tuple[str, ...] = ()
    """Why the trace cannot tell, and what to record."""
    struck: tuple[str, ...] = ()
    """The injected faults that have done something."""


class SweepJob(NamedTuple):
    """One trace, and the settings to replay it with."""

    trace: str
    pipeline: str | None
    points: tuple[tuple[str, ...], ...]
    worlds: int = 0
    """How many worlds to draw besides the middle one."""
    faults: tuple[InjectedFault, ...] = ()


class SweptStanding(StrEnum):
    """How a setting compares with the others."""

    FRONT = "front"
    """No other is better in one objective and not worse in any."""
    BEATEN = "beaten"
    UNJUDGED = "unjudged"
    """Most of the traces cannot tell what it does, so it is not compared."""


class SweptPoint(NamedTuple):
    """One setting with its figures."""

    settings: tuple[str, ...]
    figures: Mapping[str, float | None]
    assumed: int
    standing: SweptStanding = SweptStanding.BEATEN
    refused: Mapping[str, tuple[str, ...]] = {}
    """The traces that cannot tell, and why."""
    ranges: Mapping[str, tuple[float, float]] | None = None
    """In which the figures of this conversation lie nine times in ten, as far as they are known; None if no world was drawn."""


def points_of(given: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of the values of ``PATH=VALUE,VALUE`` settings. A value may be a range: ``200ms..900ms/100ms``.

    Raises UsageError if a setting has no value, or if there are too many combinations.
    """
    choices = [[f"{path}={value}" for value in values] for path, values in map(_values, given)]
    count = 1
    for one in choices:
        count *= len(one)
    if count > _MOST:
        raise UsageError(f"{count} combinations are more than {_MOST}", hint="sweep fewer values at a time")
    return list(product(*choices))


def _values(text: str) -> tuple[str, list[str]]:
    path, sign, values = text.partition("=")
    found = [value for part in _parts(values) for value in _range(part)]
    if not sign or not path or not found:
        raise UsageError(f"--set takes PATH=VALUE,VALUE or PATH=FIRST..LAST/STEP (got {text!r})")
    return path, found


def _parts(text: str) -> Iterator[str]:
    """The text at its commas, but for those in brackets and quotes."""
    part, depth, quote = "", 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char in "[{") - (char in "]}")
        if char == "," and not depth and not quote:
            yield part.strip()
            part = ""
        else:
            part += char
    if part.strip():
        yield part.strip()


def _range(text: str) -> list[str]:
    found = _RANGE.fullmatch(text)
    if found is None:
        return [text] if text else []
    unit = found["last_unit"] or found["unit"]
    first, last, step = (
        _number(found[name], found[f"{name}_unit"] if name != "first" else found["unit"], unit)
        for name in ("first", "last", "step")
    )
    if step <= 0 or last < first:
        raise UsageError(f"a range goes up: FIRST..LAST/STEP (got {text!r})")
    values = [first + number * step for number in range(min(_MOST, (last - first) // step) + 1)]
    return [format_duration(value) if unit else str(value / 1000).removesuffix(".0") for value in values]


def _number(text: str, own: str, unit: str) -> int:
    """A duration in microseconds, or thousandths of a number without a unit."""
    try:
        return parse_duration(text + (own or unit)) if unit else round(float(text) * 1000)
    except ValueError as error:
        raise UsageError(f"{text}{own or unit} is neither a number nor a duration") from error


def sweep(
    traces: Sequence[str],
    points: Sequence[tuple[str, ...]],
    workers: Workers,
    *,
    pipeline: str | None = None,
    objectives: Sequence[str] = OBJECTIVES,
    worlds: int = WORLDS,
    faults: tuple[InjectedFault, ...] = (),
) -> list[SweptPoint]:
    """Replay each trace with each setting, and those of the front in so many other worlds. The result does not depend on where
    the jobs run.

    Raises:
        UsageError: a setting needs answers that no recording holds, or a fault does nothing in any trace.
        TraceError: a trace cannot be replayed.
        WorkersError: the workers are lost.
    """
    _check(traces[0], points, pipeline)
    # Everything but the settings and the worlds.
    job = SweepJob("", pipeline, (), faults=faults)
    tallies = _tallied(traces, points, workers, job)
    _all_struck(faults, tallies.values())
    drawn: set[tuple[str, ...]] = set()
    while True:
        found = with_front([_swept(point, traces, tallies[point]) for point in points], objectives)
        front = [one.settings for one in found if one.standing is SweptStanding.FRONT and one.settings not in drawn]
        if not front or not worlds:
            return found
        # In other worlds a setting may turn out to be beyond what can be judged. Then others come to the front.
        tallies |= _tallied(traces, front, workers, job._replace(worlds=worlds))
        drawn |= set(front)


def _tallied(
    traces: Sequence[str], points: Sequence[tuple[str, ...]], workers: Workers, like: SweepJob
) -> dict[tuple[str, ...], list[list[Tally]]]:
    """For each setting, the figures of all traces in each world, the middle one first."""
    worlds = like.worlds
    share = max(1, _SHARE // (1 + worlds))
    jobs = [
        like._replace(trace=trace, points=tuple(points[at : at + share]))
        for trace in traces
        for at in range(0, len(points), share)
    ]
    tallies: dict[tuple[str, ...], list[list[Tally]]] = {point: [[] for _ in range(1 + worlds)] for point in points}
    for job, found in zip(jobs, in_order(tallied, jobs, workers, name=_name), strict=True):
        for point, known in zip(job.points, found, strict=True):
            for world, pooled in enumerate(tallies[point]):
                # Where nothing is drawn, all worlds are the middle one.
                pooled.append(known[world] if world < len(known) else known[0])
    return tallies


def _all_struck(faults: Iterable[InjectedFault], tallies: Iterable[Sequence[Sequence[Tally]]]) -> None:
    struck = {written for worlds in tallies for tally in worlds[0] for written in tally.struck}
    for fault in faults:
        if fault.written not in struck:
            raise UsageError(f"the fault {fault.written!r} hits nothing in any trace", hint=f"perhaps {MISSED}")


def _ranges(worlds: Sequence[Sequence[Tally]]) -> dict[str, tuple[float, float]]:
    """The ranges of the figures over these worlds."""
    figures = [_figures(tallies) for tallies in worlds]
    known = {name: [value for one in figures if (value := one[name]) is not None] for name in figures[0]}
    return {name: (min(values), max(values)) for name, values in known.items() if values}


def _name(job: SweepJob) -> str:
    return job.trace


def _check(trace: str, points: Sequence[tuple[str, ...]], pipeline: str | None) -> None:
    """Raise before any work if a setting cannot be replayed."""
    known = read_trace(trace)
    recorded = recorded_plan(known)
    for point in points:
        changed_plan(known, recorded, pipeline=pipeline, overrides=point)


def tallied(job: SweepJob) -> list[list[Tally]]:
    """Run one job: for each setting, the figures in each world, the middle one first."""
    known = Path(job.trace).stat()
    prepared = replace(_prepared(job.trace, known.st_mtime_ns, known.st_size), faults=job.faults)
    changed = (prepared.with_settings(point, job.pipeline) for point in job.points)
    found = (worlds_of(one, job.worlds) for one in changed)
    return [[_tally(report, reasons) for report in reports] for reports, reasons in found]


# A worker gets several jobs of the same trace, one after another.
@lru_cache(maxsize=2)
def _prepared(path: str, mtime_ns: int, size: int) -> Prepared:
    return prepare(path, changed=True)


def _tally(report: Report, refusal: tuple[str, ...]) -> Tally:
    return Tally(
        tuple(turn.ttfa_us for turn in report.turns if turn.ttfa_us is not None),
        sum(turn.ttfa_us is not None for turn in report.turns),
        sum(turn.end_reason == "interrupted" for turn in report.turns),
        len(report.turns),
        sum(len(clause.text) for turn in report.turns for clause in turn.clauses),
        sum(turn.modelled for turn in report.turns),
        None if report.cost is None else float(report.cost.whole.amount),
        sum(notice.startswith("assumed") for notice in report.notices),
        refusal,
        tuple(report.injected),
    )


def _swept(point: tuple[str, ...], traces: Sequence[str], worlds: Sequence[Sequence[Tally]]) -> SweptPoint:
    middle = worlds[0]
    refused = {trace: tally.refusal for trace, tally in zip(traces, middle, strict=True) if tally.refusal}
    return SweptPoint(
        point,
        _figures(middle),
        sum(tally.assumed for tally in middle),
        SweptStanding.UNJUDGED if 2 * len(refused) > len(traces) else SweptStanding.BEATEN,
        refused,
        _ranges(worlds) if len(worlds) > 1 else None,
    )


def _figures(tallies: Sequence[Tally]) -> dict[str, float | None]:
    """The figures of all traces in one world."""
    ttfa = summary([us for tally in tallies for us in tally.ttfa_us])
    sums = {name: sum(getattr(tally, name) for tally in tallies) for name in _SUMS}
    costs = [tally.cost for tally in tallies if tally.cost is not None]
    return {
        "ttfa.p50": ttfa["p50"],
        "ttfa.p95": ttfa["p95"],
        **sums,
        "cost": round(sum(costs), 9) if costs else None,
    }


def with_front(points: Sequence[SweptPoint], objectives: Sequence[str]) -> list[SweptPoint]:
    """The settings, with those marked that no other beats."""
    compared = [point for point in points if point.standing is not SweptStanding.UNJUDGED]
    scores = [_score(point, objectives) for point in compared]
    front = {
        point.settings
        for point, score in zip(compared, scores, strict=True)
        if not any(_beats(other, score) for other in scores)
    }
    return [point._replace(standing=SweptStanding.FRONT) if point.settings in front else point for point in points]


def _score(point: SweptPoint, objectives: Sequence[str]) -> tuple[float, ...]:
    values = (point.figures[name] for name in objectives)
    # A setting without any sound is no fast one.
    return tuple(
        float("inf") if value is None else (-value if name == "turns" else value)
        for name, value in zip(objectives, values, strict=True)
    )


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
