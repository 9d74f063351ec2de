"""``flowkit shrink``: finds the fewest turns of a recording that still show something."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowkit.cli.faults import fault_option, faults_given
from flowkit.errors import ExitCode
from flowkit.plural import counted


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "shrink",
        description="Replay a session with fewer and fewer turns, and write a trace of the fewest with which the conditions hold.",
    )
    parser.add_argument("trace", metavar="TRACE", help="a recorded session (.jsonl)")
    parser.add_argument(
        "--if", dest="conditions", action="append", required=True, metavar="ASSERTION",
        help="what must still hold, as under `expect:`, such as '{what: end_reason, equals: interrupted}'; without a turn any turn "
        "will do; may be repeated",
    )  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting first")
    fault_option(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: NAME.shrunk.jsonl beside the trace)"
    )


def run(args: argparse.Namespace) -> int:
    """Shrink the session. Prints the turns that are left."""
    from flowkit.calls.shrink import condition, shrink
    from flowkit.trace.reader import read_trace
    from flowkit.trace.redact import Redactor
    from flowkit.trace.rewrite import Part, rewrite

    trace = read_trace(args.trace)
    found = shrink(trace, condition(args.conditions), overrides=tuple(args.set), faults=faults_given(args))
    out = Path(args.output or trace.path.with_name(f"{trace.path.name.removesuffix('.jsonl')}.shrunk.jsonl"))
    rewrite(trace, out, Redactor(), part=Part(found.replayed.rows, found.replayed.levels, 0, sound=False))
    left = ", ".join(map(str, found.turns)) or "none"
    print(
        f"{out}: {len(found.turns)} of {counted(found.of, 'turn')} left, after {counted(found.replays, 'replay')}: {left}"
    )
    return int(ExitCode.FINE)
