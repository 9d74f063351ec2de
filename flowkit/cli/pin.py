"""``flowkit pin``: makes a test of one turn of a recorded session."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from flowkit.errors import ExitCode, UsageError
from flowkit.plural import counted


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "pin",
        description="Write the trace up to the end of one turn, and beside it what was seen in that turn as expectations, so that "
        "`flowkit test` checks it from then on.",
    )
    parser.add_argument("trace", metavar="TRACE", help="a recorded session (.jsonl)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--turn", type=int, metavar="N", help="the turn")
    which.add_argument("--at", metavar="TIME", help="a time in the turn, such as 73.2s")
    parser.add_argument("--name", required=True, help="what the test is called, such as 'talks over the caller'")
    parser.add_argument("--into", default="traces", metavar="FOLDER", help="where to write it (default: traces)")
    parser.add_argument("--pipeline", metavar="FILE", help="the pipeline file to test with (default: the recorded one)")
    parser.add_argument(
        "--expect", action="append", default=[], metavar="ASSERTION",
        help="what to expect instead, such as '{turn: 2, what: ttfa, within: 900ms}'; may be repeated",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Write the test. Prints its files."""
    from flowkit.calls.pin import pin, turn_at
    from flowkit.options import parse_duration
    from flowkit.testing.suite.expectations import expectations_path, read_expectations
    from flowkit.trace.reader import read_trace

    trace, folder = read_trace(args.trace), Path(args.into)
    try:
        turn = args.turn if args.at is None else turn_at(trace, parse_duration(args.at))
    except ValueError as error:
        raise UsageError(f"--at takes a time such as 73.2s ({error})") from error
    pipeline = os.path.relpath(args.pipeline, folder) if args.pipeline else None
    path = pin(trace, turn, args.name, folder, expect=args.expect, pipeline=pipeline)
    # Read at once, so that a slip in an expectation is reported now.
    expectations = read_expectations(expectations_path(path))
    print(f"{path}: turn {turn}, with {counted(len(expectations.expect.expect), 'expectation')} in {expectations.path}")
    return int(ExitCode.FINE)
