"""``flowkit sweep``: tries many settings on many traces."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.cli.faults import fault_option, faults_given
from flowkit.cli.workers import configure as workers
from flowkit.cli.workers import traces_of, workers_of
from flowkit.errors import ExitCode, UsageError
from flowkit.plural import counted

if TYPE_CHECKING:
    from flowkit.calls.sweep import SweptPoint


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "sweep",
        description="Replay traces with every combination of the given settings. Prints the figures of each, and marks with * "
        "those that no other beats in all objectives, with the range in which their figures lie nine times in ten. A ? marks "
        "those that most of the traces cannot judge.",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="traces, or folders with traces")
    parser.add_argument(
        "--set", action="append", required=True, metavar="PATH=VALUES",
        help="values of a setting: 300ms,500ms or 200ms..900ms/100ms; may be repeated",
    )  # fmt: skip
    parser.add_argument("--pipeline", metavar="FILE", help="replay with this pipeline file")
    fault_option(parser)
    parser.add_argument(
        "--objective",
        metavar="FIGURE,...",
        help="what to make small, or `turns` large (default: ttfa.p50,interrupted,requests)",
    )
    parser.add_argument(
        "--worlds", type=int, metavar="N", help="how many worlds to draw for the ranges (default: 20; 0: no ranges)"
    )
    parser.add_argument("--plot", metavar="SVG", help="write a plot of the first two objectives to this file")
    workers(parser)
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Sweep. Exit code 5 if there are no traces."""
    from flowkit.calls.sweep import FIGURES, OBJECTIVES, points_of, sweep
    from flowkit.files import reserve, write_whole
    from flowkit.replay.predict import WORLDS

    objectives = tuple(args.objective.split(",")) if args.objective else OBJECTIVES
    if unknown := [name for name in objectives if name not in FIGURES]:
        raise UsageError(f"unknown figure {unknown[0]!r}", hint=f"one of {', '.join(FIGURES)}")
    worlds = WORLDS if args.worlds is None else args.worlds
    if worlds < 0:
        raise UsageError(f"--worlds is a number of worlds, not {worlds}")
    if args.plot and len(objectives) < 2:
        raise UsageError("--plot shows two objectives, and only one is given")
    traces = list(map(str, traces_of(args.traces)))
    if not traces:
        print("flowkit: no traces found", file=sys.stderr)
        return int(ExitCode.NOTHING_COLLECTED)
    if args.plot:
        # Before the long work, so that a wrong name costs nothing.
        reserve(args.plot, traces, mine="<svg")
    found = sweep(
        traces,
        points_of(args.set),
        workers_of(args),
        pipeline=args.pipeline,
        objectives=objectives,
        worlds=worlds,
        faults=faults_given(args),
    )
    print(
        _json(traces, objectives, args.fault, found)
        if args.format == "json"
        else "\n".join(_table(found, objectives, args))
    )
    if args.plot:
        write_whole(Path(args.plot), _plot(found, objectives), mine="<svg")
    return int(ExitCode.FINE)


def _plot(found: list[SweptPoint], objectives: tuple[str, ...]) -> str:
    """The settings by their first two objectives, the front in colour with its ranges."""
    from flowkit.calls.sweep import SweptStanding
    from flowkit.report.scatter import Point, PointStyle, scatter

    styles = {
        SweptStanding.FRONT: PointStyle.STRONG,
        SweptStanding.BEATEN: PointStyle.FAINT,
        SweptStanding.UNJUDGED: PointStyle.RING,
    }
    across, up = objectives[:2]
    points: list[Point] = []
    for one in found:
        x, y, ranges = one.figures[across], one.figures[up], one.ranges or {}
        if x is not None and y is not None:
            title = " ".join(one.settings)
            if one.standing is SweptStanding.UNJUDGED:
                title += f" (cannot judge: {_why(one)})"
            points.append(Point(x, y, title, styles[one.standing], ranges.get(across), ranges.get(up)))
    return scatter(points, across, up)


def _json(traces: list[str], objectives: tuple[str, ...], faults: list[str], found: list[SweptPoint]) -> str:
    points = [
        {
            "settings": list(one.settings),
            **one.figures,
            "assumed": one.assumed,
            "standing": one.standing,
            "refused": {trace: list(reasons) for trace, reasons in one.refused.items()},
            "ranges": None if one.ranges is None else {name: list(ends) for name, ends in one.ranges.items()},
        }
        for one in found
    ]
    known = {"flowkit": 1, "traces": traces, "objectives": list(objectives), "faults": faults, "points": points}
    return json.dumps(known, indent=1)


def _table(found: list[SweptPoint], objectives: tuple[str, ...], args: argparse.Namespace) -> list[str]:
    """A line for each setting, and the commands that replay those of the front."""
    from flowkit.calls.sweep import SweptStanding

    marks = {SweptStanding.FRONT: "*", SweptStanding.BEATEN: "", SweptStanding.UNJUDGED: "?"}
    paths = [setting.partition("=")[0] for setting in found[0].settings]
    names = [name for name in found[0].figures if any(one.figures[name] is not None for one in found)]
    head = ["", *(path.removeprefix("stages.") for path in paths), *names, "assumed"]
    rows = [
        [
            marks[one.standing],
            *(setting.partition("=")[2] for setting in one.settings),
            *(_shown(one.figures[name], (one.ranges or {}).get(name)) for name in names),
            str(one.assumed),
        ]
        for one in found
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    own = ["--pipeline", args.pipeline] if args.pipeline else []
    own += [part for fault in args.fault for part in ("--fault", fault)]
    front = [one for one in found if one.standing is SweptStanding.FRONT]
    commands = (
        shlex.join(
            ["flowkit", "replay", *args.traces, *own, *(part for one in point.settings for part in ("--set", one))]
        )
        for point in front
    )
    return [
        *lines,
        "",
        f"* no other is better in {', '.join(objectives)}; to look at one:",
        *(f"  {line}" for line in commands),
        *_refused(found),
    ]


def _refused(found: list[SweptPoint]) -> list[str]:
    """The settings that some of the traces cannot judge."""
    lines = [f"  {' '.join(one.settings)}: {_why(one)}" for one in found if one.refused]
    return ["", "what a trace cannot tell (?: most of them cannot):", *lines] if lines else []


def _why(point: SweptPoint) -> str:
    """The first reason, and how many more traces have one."""
    trace, reasons = next(iter(point.refused.items()))
    more = len(point.refused) - 1
    return f"{Path(trace).name}: {reasons[0]}" + (f" (and {counted(more, 'more trace')})" if more else "")


def _shown(value: float | None, ends: tuple[float, float] | None) -> str:
    """A figure with its range, if that is more than one value."""
    told = "none" if value is None else f"{value:g}"
    return told if ends is None or ends[0] == ends[1] else f"{told} ({ends[0]:g}..{ends[1]:g})"
