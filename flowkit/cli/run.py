"""``flowkit run``: a pipeline live, on devices or files, or with typed lines."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from flowkit.plan import Plan
    from flowkit.runtime.session import Outcome
    from flowkit.trace.figures import Report


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("run", help="run a pipeline", description="Run a pipeline live.")
    parser.add_argument("file", metavar="FILE", help="the pipeline's YAML file")
    parser.add_argument("--input", metavar="WAV", help="speak this file instead of using a microphone")
    parser.add_argument("--output", metavar="WAV", help="write the agent's sound here instead of using a speaker")
    parser.add_argument("--text", action="store_true", help="typed lines are the utterances; no microphone, VAD or ASR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the file")
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="how to report (default: plain)")
    parser.add_argument("--duration", metavar="TIME", help="end after this long, such as 30s")


def run(args: argparse.Namespace) -> int:
    """Run the session; the exit code is 0, 130 after Ctrl-C, or 4 where a provider failed."""
    import trio

    from flowkit.engine.journal import digest
    from flowkit.options import parse_duration
    from flowkit.runtime.session import run_session
    from flowkit.trace.listener import Listener
    from flowkit.trace.metrics import measure

    plan = _plan(args)
    duration_us = None
    if args.duration:
        try:
            duration_us = parse_duration(args.duration)
        except ValueError as error:
            raise UsageError(f"--duration: {error}") from error
    listener = Listener(plan)
    view = _view(args.format, plan)
    observers = (listener, view) if view is not None else (listener,)
    outcome: Outcome = _quietly(
        lambda: trio.run(lambda: run_session(plan, notice=_notice, observers=observers, duration_us=duration_us))
    )
    report = measure(
        outcome.rows, plan=plan, voiced=listener.reference(), digest=digest(outcome.rows), wall_us=outcome.wall_us
    )
    _tell(args, outcome, report)
    return _exit_code(outcome, report)


def _plan(args: argparse.Namespace) -> Plan:
    from flowkit.config import load
    from flowkit.plan import require, text_mode, with_files

    if args.text and args.input:
        raise UsageError("--text takes typed lines and --input a file; use one of them")
    config = load(args.file, overrides=args.set, environ=os.environ)
    if args.text:
        config = text_mode(config, waits=not sys.stdin.isatty())
    if args.input or args.output:
        if args.output:
            Path(args.output).parent.mkdir(parents=True, exist_ok=True)
        config = with_files(config, args.input, args.output)
    for notice in config.notices:
        _notice(str(notice))
    return require(config)


def _view(form: str, plan: Plan):  # type: ignore[no-untyped-def]
    from flowkit.report.plain import PlainView

    if form == "json":
        return None
    voice = plan.only("tts")
    prints = voice is not None and voice.provider is not None and voice.provider.name == "print"
    return PlainView(lambda line: print(line, flush=True), clauses=not prints)


def _notice(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _quietly(go: Callable[[], Outcome]) -> Outcome:
    """Run, with the one error of an exception group unwrapped, so that it is told like any other."""
    try:
        return go()
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group


def _tell(args: argparse.Namespace, outcome: Outcome, report: Report) -> None:
    from flowkit.report.plain import summary

    if args.format == "json":
        json.dump(report.to_json(), sys.stdout, ensure_ascii=False, indent=1)
        print()
    else:
        print("\n".join(summary(report)), flush=True)
    if outcome.reason.startswith("failed"):
        _notice(f"flowkit: the session ended: {outcome.reason.removeprefix('failed: ')}")
    if not report.turns and outcome.reason == "input_ended":
        _notice("flowkit: nothing was said in the input: no speech was found")
    for stall in outcome.stalls:
        _notice(f"flowkit: the event loop was held for {stall.lasted_us / 1000:.0f} ms by {stall.task}")


def _exit_code(outcome: Outcome, report: Report) -> int:
    if outcome.reason == "interrupted":
        return int(ExitCode.INTERRUPTED)
    failed = outcome.reason.startswith("failed") or any(turn.end_reason == "error" for turn in report.turns)
    return int(ExitCode.UNAVAILABLE if failed else ExitCode.FINE)
