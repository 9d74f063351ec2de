"""``flowkit report``: shows a recorded session on the terminal or as an HTML page, or two traces side by side."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit.cli.faults import fault_option, faults_given
from flowkit.errors import ExitCode, FlowkitError, UsageError
from flowkit.files import PRIVATE, reserve, sounds_beside, write_whole

if TYPE_CHECKING:
    from flowkit.report.page import ShownSession
    from flowkit.trace.reader import Trace


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        description="Show a recorded session: waterfall, clauses, parts of the delay, interrupts and queues of each turn. With "
        "-o, write one self-contained HTML page with audio, which loads nothing from the network.",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="a trace, or two to show side by side")
    parser.add_argument(
        "--pipeline", metavar="FILE", help="also show the trace's replay with this pipeline file, side by side"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="also show the trace's replay with this setting changed, side by side",
    )
    fault_option(parser)
    parser.add_argument(
        "-o", "--output", metavar="HTML", help="write an HTML page to this file (default: print to the terminal)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page, or print to the terminal."""
    from flowkit.report.page import PAGE_MARK, of_trace
    from flowkit.trace.reader import read_trace

    if len(args.traces) > 2:
        raise UsageError(f"report shows one trace, or two side by side (got {len(args.traces)})")
    changed = bool(args.pipeline or args.set or args.fault)
    if changed and len(args.traces) > 1:
        raise UsageError("--pipeline, --set and --fault show the replay of one trace, but two traces are given")
    inputs = _inputs(args)
    traces = [read_trace(name) for name in args.traces]
    if args.output:
        # Before the long work, so that a wrong name costs nothing.
        reserve(args.output, inputs, mine=PAGE_MARK)
    subjects = [of_trace(trace, settings_of(trace)) for trace in traces]
    if changed:
        subjects.append(_replayed(args))
    if args.output:
        _write(args.output, inputs, subjects)
    else:
        for subject in subjects:
            _print(subject)
    return int(ExitCode.FINE)


def _replayed(args: argparse.Namespace) -> ShownSession:
    """The trace's replay with changed settings, to be shown beside it."""
    from flowkit.figures.layout import layout_of
    from flowkit.replay.predict import predict
    from flowkit.report.page import ShownSession

    replayed = predict(args.traces[0], pipeline=args.pipeline, overrides=tuple(args.set), faults=faults_given(args))
    plan = replayed.plan
    name = ", ".join([replayed.report.trace, "replayed", *replayed.report.injected])
    return ShownSession(name, replayed.report, replayed.rows, layout_of(plan), settings=plan.settings)


def _inputs(args: argparse.Namespace) -> list[Path]:
    """The files that are read: traces, their audio, and the pipeline file."""
    traces = [Path(name) for name in args.traces]
    return [
        *traces,
        *(sound for trace in traces for sound in sounds_beside(trace)),
        *map(Path, filter(None, [args.pipeline])),
    ]


def _write(path: str, inputs: list[Path], subjects: list[ShownSession]) -> None:
    from flowkit.report.page import PAGE_MARK, page

    text = page(subjects)
    # The page holds what people said, and their voices.
    write_whole(path, text, inputs=inputs, mode=PRIVATE, mine=PAGE_MARK)
    print(f"{path}: {len(text) / 1e6:.1f} MB", file=sys.stderr)


def _print(subject: ShownSession) -> None:
    from flowkit.report.terminal import lines

    known = (subject.report, subject.rows, subject.layout, subject.reference, subject.settings)
    for line in lines(*known, width=shutil.get_terminal_size((100, 24)).columns):
        print(line)
    for notice in subject.notices:
        print(f"flowkit: {notice}", file=sys.stderr)


def settings_of(trace: Trace) -> Mapping[str, Any]:
    """The top-level blocks of the trace's configuration, such as its budgets; empty, with a notice, if it cannot be
    loaded."""
    from flowkit.config import Outside, Unset, load
    from flowkit.plan import resolve

    if not trace.head.config:
        return {}
    try:
        config = load(f"{trace.path.name} (configuration)", text=trace.head.config, outside=Outside(unset=Unset.KEEP))
        # The budgets are needed here, and not the providers, which this machine may lack.
        return resolve(config, installed=False).settings
    except FlowkitError as error:
        first = str(error).partition("\n")[0]
        print(
            f"flowkit: {trace.path.name}: no budgets, because its configuration cannot be loaded: {first}",
            file=sys.stderr,
        )
        return {}
