"""``flowkit diff``: compares two recorded sessions, or one with its replay."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from flowkit.cli.faults import fault_option, faults_given, schedule_option
from flowkit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from flowkit.engine import Row
    from flowkit.figures.report import Report
    from flowkit.replay.simulate import Replayed
    from flowkit.trace.reader import Trace


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    configure(
        commands.add_parser(
            "diff",
            help="compare two traces, or a trace and its replay",
            description="Show the first message that differs, with its causes, and then turn by turn the differences in delays, "
            "clauses, interrupts and queues. A single trace is compared with its replay.",
        )
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("a", metavar="A", help="a recorded session (.jsonl)")
    parser.add_argument("b", metavar="B", nargs="?", help="another recorded session (default: the replay of A)")
    parser.add_argument("--pipeline", metavar="FILE", help="replay with this pipeline file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="replay with a changed setting"
    )
    fault_option(parser)
    schedule_option(parser)
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Compare the sessions. Exit code 0 if all stages handled the same messages, 1 otherwise."""
    from flowkit.replay.compare import difference_json, difference_lines, first_difference
    from flowkit.trace.reader import read_trace

    if args.b is not None and (args.pipeline or args.set or args.fault or args.schedule):
        what = "--pipeline, --set, --fault and --schedule"
        raise UsageError(f"{what} change the replay of one trace, but two traces are given")
    trace = read_trace(args.a)
    rows, report = _recorded(trace)
    if args.b is None:
        replayed = _replayed(args, trace)
        other_rows, other = replayed.rows, replayed.report
    else:
        other_rows, other = _recorded(read_trace(args.b))
    for notice in (*report.notices, *other.notices):
        print(f"flowkit: {notice}", file=sys.stderr)
    first = first_difference(rows, other_rows)
    if args.format == "json":
        json.dump(difference_json(report, other, first), sys.stdout, ensure_ascii=False)
        print()
    else:
        print("\n".join(difference_lines(report, other, first)))
    return ExitCode.FINE if first is None else ExitCode.CHECKS_FAILED


def _replayed(args: argparse.Namespace, trace: Trace) -> Replayed:
    from flowkit.replay.predict import predict
    from flowkit.replay.simulate import all_hit, prepare
    from flowkit.replay.ties import parse_schedule, scheduled

    overrides, faults = tuple(args.set), faults_given(args)
    if args.schedule is None:
        return predict(trace, pipeline=args.pipeline, overrides=overrides, faults=faults)
    prepared = prepare(trace, pipeline=args.pipeline, overrides=overrides, faults=faults)
    return all_hit(scheduled(prepared, parse_schedule(args.schedule)))


def _recorded(trace: Trace) -> tuple[list[Row], Report]:
    from flowkit.figures.metrics import measure

    rows = trace.rows()
    queues = trace.end.queues if trace.end is not None else ()
    report = measure(
        rows,
        plan=trace.layout,
        voiced=trace.reference,
        trace=trace.path.name,
        level="live",
        digest=trace.digest,
        queues=queues,
    )
    return rows, report
