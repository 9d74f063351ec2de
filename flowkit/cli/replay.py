"""``flowkit replay``: runs a recorded session again: exactly, simulated, or with changed settings."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, NamedTuple

from flowkit.cli.faults import fault_option, faults_given, schedule_option
from flowkit.cli.workers import configure as workers
from flowkit.cli.workers import traces_of, workers_of
from flowkit.errors import ExitCode, UsageError
from flowkit.jobs import in_order
from flowkit.plural import counted

if TYPE_CHECKING:
    from flowkit.figures.report import Report
    from flowkit.replay.simulate import Prepared
    from flowkit.trace.reader import Trace


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    configure(
        commands.add_parser(
            "replay",
            help="run a trace again",
            description="Run recorded sessions again. By default the replay is simulated: the providers answer as recorded. "
            "With --exact, each stimulus comes at its recorded time. With --set or --pipeline, answers that the recording "
            "lacks are modelled and marked.",
        )
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="recorded sessions (.jsonl), or folders with them")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="run each stimulus at its recorded time and compare the journals; exit code 1 if they differ",
    )
    parser.add_argument("--pipeline", metavar="FILE", help="replay with this pipeline file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a setting first",
    )
    fault_option(parser)
    parser.add_argument(
        "--live-tools", action="store_true", help="really call the tools, instead of taking the recorded outcomes"
    )
    parser.add_argument(
        "--allow-tools", action="store_true", help="with --live-tools: let tools import modules and start programs"
    )
    parser.add_argument(
        "--permute-ties", type=int, default=0, metavar="N", help="also replay simultaneous events in N other orders"
    )
    schedule_option(parser)
    parser.add_argument(
        "--worlds",
        type=int,
        metavar="N",
        help="with changed settings: draw what the recording cannot tell N times (default: 20); 0: the likely values only",
    )
    workers(parser)
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Replay each trace. Exit code 1 if one differs from its recording, or depends on the order of simultaneous
    events; 2 if a recording cannot tell what a change would do."""
    if args.exact and (args.pipeline or args.set or args.permute_ties or args.fault):
        raise UsageError(
            "--exact changes nothing, so it cannot be combined with --pipeline, --set, --fault or --permute-ties"
        )
    if args.live_tools and (args.exact or args.permute_ties or args.fault):
        raise UsageError(
            "--live-tools changes outcomes, so it cannot be combined with --exact, --fault or --permute-ties"
        )
    if args.schedule is not None and (args.exact or args.permute_ties or args.live_tools):
        raise UsageError(
            "--schedule is one order, so it cannot be combined with --exact, --permute-ties or --live-tools"
        )
    if args.worlds is not None and args.worlds < 0:
        raise UsageError(f"--worlds is a number of worlds, not {args.worlds}")
    if args.allow_tools and not args.live_tools:
        raise UsageError("--allow-tools is for --live-tools: otherwise a replay calls no tool")
    worst = ExitCode.FINE
    jobs = [_Asked(args, str(path)) for path in traces_of(args.traces)]
    with closing(in_order(_replayed, jobs, workers_of(args), name=attrgetter("name"))) as running:
        for said in running:
            print("\n".join(said.out))
            for line in said.err:
                print(line, file=sys.stderr)
            worst = max(worst, said.code)
    return worst


class _Asked(NamedTuple):
    """One trace to replay."""

    args: argparse.Namespace
    name: str


@dataclass
class _Said:
    """What a replay prints to stdout and stderr, and its exit code."""

    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    code: ExitCode = ExitCode.FINE


def _replayed(asked: _Asked) -> _Said:
    args, name = asked
    said = _Said()
    try:
        said.code = _exact(args, name, said) if args.exact else _simulated(args, name, said)
    except BaseExceptionGroup as group:
        # Trio groups what fails in a nursery, and the command line reports a single error.
        raise group.exceptions[0] from group
    if said.code is not ExitCode.FINE:
        said.err.append(f"reproduce: {_again(args, name)}")
    return said


def _again(args: argparse.Namespace, name: str) -> str:
    """The command that repeats the replay of one trace."""
    options = ["--exact"] if args.exact else []
    options += ["--pipeline", args.pipeline] if args.pipeline else []
    options += [part for value in args.set for part in ("--set", value)]
    options += [part for fault in args.fault for part in ("--fault", fault)]
    options += [f"--{name}-tools" for name in ("live", "allow") if getattr(args, f"{name}_tools")]
    options += ["--permute-ties", str(args.permute_ties)] if args.permute_ties else []
    options += ["--schedule", args.schedule] if args.schedule is not None else []
    options += ["--worlds", str(args.worlds)] if args.worlds is not None else []
    return shlex.join(["flowkit", "replay", name, *options])


def _exact(args: argparse.Namespace, name: str, said: _Said) -> ExitCode:
    from flowkit.replay.rerun import exactly, lines_of

    result = exactly(name)
    _tell(args, result.report, said)
    said.err += lines_of(result.difference)
    return ExitCode.FINE if result.same else ExitCode.CHECKS_FAILED


def _simulated(args: argparse.Namespace, name: str, said: _Said) -> ExitCode:
    from flowkit.replay.predict import WORLDS, predict
    from flowkit.replay.rerun import timing_only
    from flowkit.trace.reader import read_trace

    trace = read_trace(name)
    if trace.redacted:
        if args.pipeline or args.set or args.permute_ties or args.live_tools or args.fault or args.schedule:
            raise UsageError(
                f"{trace.path.name} is redacted: only its timing can be replayed, without changed settings or faults"
            )
        _tell(args, timing_only(trace), said)
        return ExitCode.FINE
    if args.live_tools:
        _tell(args, _with_tools(args, trace), said)
        return ExitCode.FINE
    if args.schedule is not None:
        return _scheduled(args, trace, said)
    worlds = WORLDS if args.worlds is None else args.worlds
    replayed = predict(
        trace,
        pipeline=args.pipeline,
        overrides=tuple(args.set),
        worlds=worlds,
        following=worlds > 0,
        faults=faults_given(args),
    )
    _tell(args, replayed.report, said)
    if args.permute_ties and not _ties(args, trace, said):
        return ExitCode.CHECKS_FAILED
    outlook = replayed.report.outlook
    return ExitCode.USAGE if outlook is not None and outlook.refusal else ExitCode.FINE


def _with_tools(args: argparse.Namespace, trace: Trace) -> Report:
    from flowkit import trust
    from flowkit.replay.live_tools import simulate_with_tools

    # Here and not in `run`, because this may be another process.
    if args.allow_tools:
        trust.allow()
    return simulate_with_tools(trace, pipeline=args.pipeline, overrides=tuple(args.set)).report


def _ties(args: argparse.Namespace, trace: Trace, said: _Said) -> bool:
    from flowkit.replay.ties import depending, permuted, schedule_text, shortest

    prepared = _prepared(args, trace)
    usual = prepared.run(brief=True).report
    found = depending(usual, permuted(prepared, args.permute_ties))
    for what, others in found.items():
        schedule = schedule_text(shortest(prepared, usual, others[0].schedule, what))
        orders = f"{len(others)} of {args.permute_ties} orders"
        said.err.append(f"{what}: depends on the order of simultaneous events ({orders}): --schedule {schedule}")
    if not found:
        said.err.append(f"{counted(args.permute_ties, 'other order')} of simultaneous events: the same figures")
    return not found


def _scheduled(args: argparse.Namespace, trace: Trace, said: _Said) -> ExitCode:
    """Replay with a schedule. Exit code 1 if its figures are not those of the usual order."""
    from flowkit.replay.ties import differing, parse_schedule, scheduled

    prepared = _prepared(args, trace)
    replayed = scheduled(prepared, parse_schedule(args.schedule))
    _tell(args, replayed.report, said)
    lines = differing(prepared.run(brief=True).report, replayed.report)
    said.err += [f"{what}: other than in the usual order" for what in lines]
    return ExitCode.CHECKS_FAILED if lines else ExitCode.FINE


def _prepared(args: argparse.Namespace, trace: Trace) -> Prepared:
    from flowkit.replay.simulate import prepare

    return prepare(trace, pipeline=args.pipeline, overrides=tuple(args.set), faults=faults_given(args))


def _tell(args: argparse.Namespace, report: Report, said: _Said) -> None:
    said.err += [f"flowkit: {report.trace}: {notice}" for notice in report.notices]
    if args.format == "json":
        said.out.append(json.dumps(report.to_json(), ensure_ascii=False))
        return
    from flowkit.report.plain import summary

    speed = report.audio_us / report.wall_us if report.wall_us else 0
    told = f"{report.audio_us / 1e6:.1f} s in {report.wall_us / 1e6:.3f} s ({speed:.0f} x)"
    said.out.append(
        f"{report.trace}: {report.level}, {told}, {counted(report.messages, 'message')}, digest {report.digest}"
    )
    if report.level == "what_if":
        said.out.append(f"modelled: {report.modelled_share:.0%} of the clauses")
    said.out += [f"  {t_us / 1e6:8.3f}  {line}" for t_us, line in sorted(_events(report), key=itemgetter(0))]
    said.out += summary(report)


def _events(report: Report) -> Iterator[tuple[int, str]]:
    """A line for each clause, tool call and outcome, with its time."""
    from flowkit.printable import one_line
    from flowkit.report.plain import outcome

    for call in report.tools:
        yield call.t_us, f"{'tool':14}  {one_line(f'{call.name} {call.arguments}')}"
        if call.took_us is not None:
            came_us = call.t_us + call.took_us
            yield came_us, f"{'tool':14}  {one_line(outcome(call.name, call.status, call.content))}"
    for clause in (clause for turn in report.turns for clause in turn.clauses):
        mark = (f" ({clause.note})" if clause.note else "") + (" (modelled)" if clause.modelled else "")
        yield clause.t_us, f"{clause.reason:10} {clause.tokens:3}  {clause.text.strip()}{mark}"
