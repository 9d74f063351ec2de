"""``flowkit run``: a pipeline live, on devices or files, or with typed lines."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit import trust
from flowkit.errors import ExitCode, FlowkitError, UsageError
from flowkit.files import make_folder

if TYPE_CHECKING:
    from flowkit.cli.views import RunView
    from flowkit.config import Config
    from flowkit.engine import Engine
    from flowkit.engine.observer import Observer
    from flowkit.figures.live import LiveFigures
    from flowkit.figures.report import Report
    from flowkit.plan import Plan
    from flowkit.runtime.session import SessionOutcome


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("run", help="run a pipeline", description="Run a pipeline live.")
    parser.add_argument("file", nargs="?", metavar="FILE", help="the pipeline's YAML file (default: agent.yaml)")
    parser.add_argument(
        "--input", metavar="WAV", help="speak this file, from the first moment on, instead of using a microphone"
    )
    parser.add_argument("--output", metavar="WAV", help="write the agent's sound here instead of using a speaker")
    parser.add_argument("--overwrite", action="store_true", help="write over the --output file if it is there")
    parser.add_argument("--text", action="store_true", help="typed lines are the utterances; no microphone, VAD or ASR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the file")
    parser.add_argument(
        "--var", action="append", default=[], metavar="NAME=VALUE", help="the value of {{NAME}} in prompts and greeting"
    )
    parser.add_argument(
        "--allow-tools", action="store_true", help="let the file's tools import modules and start programs"
    )
    parser.add_argument("--mic", metavar="DEVICE", help="use this microphone: number or part of its name, see doctor")
    parser.add_argument("--speaker", metavar="DEVICE", help="use this speaker")
    parser.add_argument(
        "--format", choices=("rich", "plain", "json"), help="how to report (default: rich on a terminal, else plain)"
    )
    parser.add_argument("--trace", metavar="PATH", help="record the session here (default: a new file in traces/live/)")
    parser.add_argument("--no-trace", action="store_true", help="keep no record of the session")
    parser.add_argument("--no-audio", action="store_true", help="keep no sound in the record")
    parser.add_argument("--duration", metavar="TIME", help="end after this long, such as 30s")
    parser.add_argument("--turns", metavar="N", type=int, help="end when this many turns are over")
    parser.add_argument("--check-budgets", action="store_true", help="exit 1 if a budget of the file is not kept")


def run(args: argparse.Namespace) -> int:
    """Run the session. On a terminal, offer to install embedded models that are missing.

    Exit code 0: it ended normally. 1: a budget was not kept (with ``--check-budgets``). 2: its trace could not be written.
    4: a provider or a device failed. 130: Ctrl-C.
    """
    from flowkit.cli import ask, setup

    try:
        return _run(args)
    except FlowkitError as error:
        if not (setup.mends(error) and ask.can_ask()):
            raise
        # The parser may have changed `args` in the first attempt, but only in ways that a second one repeats.
        print(f"flowkit: {error}", file=sys.stderr)
        if not setup.offered():
            return int(error.exit_code)
    return setup.install(agreed=True) or _run(args)


def _run(args: argparse.Namespace) -> int:
    # Imported here, so that `--help` and the other commands do not wait for it.
    import trio

    from flowkit.cli.ends import check_ends
    from flowkit.cli.recording import record_path, recorded
    from flowkit.cli.views import shown
    from flowkit.plan import require
    from flowkit.plan.variables import check_given, parse_variables
    from flowkit.runtime.host import run_alone

    if args.allow_tools:
        trust.allow()
    config, duration_us = _config(args), _limits(args)
    variables = parse_variables(args.var)
    check_given(config, variables)
    plan = require(config)
    path = record_path(args, config)
    check_ends(config, plan, path)
    with shown(plan, args.format, typed=args.text, say=_notice) as view:
        outcome = trio.run(
            partial(
                run_alone,
                plan,
                config=config,
                trace=path,
                notice=view.say,
                observers=(*_echo_watch(plan, view.say), *view.observers),
                duration_us=duration_us,
                turns=args.turns,
                started=partial(_began, view, None if path is None else recorded(plan, config, path)),
                variables=variables,
            )
        )
    if outcome.error is not None:
        raise outcome.error
    return _tell(args, plan, outcome, path)


def _began(view: RunView, recording: str | None, engine: Engine, figures: LiveFigures) -> None:
    """The session begins. That it is recorded is said only now: what is missing before leaves no recording."""
    if recording is not None:
        view.say(recording)
    view.started(engine, figures)


def _echo_watch(plan: Plan, notice: Callable[[str], None]) -> tuple[Observer, ...]:
    """A watch for the agent's own voice in the microphone, where both ends are devices: files and scripts have no echo."""
    from flowkit.runtime.echo import EchoWatch

    names = [end.provider.name for kind in ("mic", "speaker") if (end := plan.only(kind)) and end.provider]
    return (EchoWatch(plan, notice),) if len(names) == 2 and not _WITHOUT_ECHO & set(names) else ()


def _limits(args: argparse.Namespace) -> int | None:
    """The longest time the session may last, in microseconds. Raises UsageError for an impossible limit."""
    from flowkit.options import parse_duration

    if args.turns is not None and args.turns < 1:
        raise UsageError(f"--turns: must be at least 1 (got {args.turns})")
    try:
        return parse_duration(args.duration) if args.duration else None
    except ValueError as error:
        raise UsageError(f"--duration: {error}") from error


_WITHOUT_ECHO = frozenset({"memory", "scripted", "wav"})
_EXCLUDE_EACH_OTHER = (
    ("text", "input"),
    ("text", "mic"),
    ("input", "mic"),
    ("output", "speaker"),
    ("trace", "no-trace"),
    ("no-audio", "no-trace"),
)
_OF_ITSELF = {
    "agent_ended": "the agent ended it",
    "user_idle": "nobody spoke any more (`idle` in the file)",
    "session_limit": "it has lasted as long as `limits` in the file allows",
}
"""Why a session ended by itself, by the reason of its outcome."""


def _config(args: argparse.Namespace) -> Config:
    """The pipeline with the source and sink that the command line asks for. Raises UsageError for options that exclude each
    other."""
    from flowkit.config import load
    from flowkit.plan import text_mode, with_devices, with_files

    for one, other in _EXCLUDE_EACH_OTHER:
        if getattr(args, one.replace("-", "_")) and getattr(args, other.replace("-", "_")):
            raise UsageError(f"--{one} and --{other} exclude each other; use one of them")
    overrides = [*args.set, *(["trace.audio=false"] if args.no_audio else [])]
    config = load(args.file or _file_here(), overrides=overrides, environ=os.environ)
    # Without a microphone there is nothing but the keyboard that could speak to a gate at the beginning.
    args.text = args.text or (config.stages[0].kind == "gate" and not config.stages[0].candidates)
    if args.text:
        config = text_mode(config, waits=not sys.stdin.isatty())
    if args.overwrite and not args.output:
        raise UsageError("--overwrite says that --output may be written over; there is none")
    if args.input or args.output:
        if args.output:
            make_folder(Path(args.output).parent)
        config = with_files(config, args.input, args.output, overwrite=args.overwrite)
    if args.mic or args.speaker:
        config = with_devices(config, args.mic, args.speaker)
    for notice in config.notices:
        _notice(str(notice))
    return config


def _file_here() -> Path:
    """The pipeline of this folder. Raises UsageError if there is none."""
    from flowkit.scaffold.project import AGENT

    if not (path := Path(AGENT)).exists():
        raise UsageError(f"no FILE is named, and there is no {AGENT} in this folder", hint="flowkit init writes one")
    return path


def _print(lines: list[str]) -> None:
    """Print lines to stdout. On a terminal, long lines continue indented."""
    import shutil
    import textwrap

    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        lines = [part for line in lines for part in textwrap.wrap(line, width, subsequent_indent="    ")]
    for line in lines:
        print(line, flush=True)


def _notice(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell(args: argparse.Namespace, plan: Plan, outcome: SessionOutcome, path: Path | None) -> int:
    """Say how the session went; returns the exit code."""
    from flowkit.figures.queues import queue_reports
    from flowkit.report.plain import summary

    recording = outcome.recording
    report = replace(
        outcome.figures.report(),
        trace=str(path or ""),
        digest=recording.digest if recording else "",
        wall_us=outcome.wall_us,
        queues=queue_reports(outcome.inboxes),
    )
    if args.format == "json":
        json.dump(report.to_json(), sys.stdout, ensure_ascii=False, indent=1)
        print()
    else:
        _print(summary(report, voiced=not plan.silent))
    if outcome.reason.startswith("failed"):
        _notice(f"flowkit: the session ended: {outcome.reason.removeprefix('failed: ')}")
    if why := _OF_ITSELF.get(outcome.reason):
        _notice(f"flowkit: the session ended: {why} [{outcome.reason}]")
    if not report.turns and outcome.reason == "input_ended":
        _notice(f"flowkit: nothing was {'typed' if args.text else 'said in the input: no speech was found'}")
    for line in outcome.figures.stalls.lines():
        _notice(f"flowkit: {line}")
    lost = recording.lost if recording else ""
    if lost:
        _notice(f"flowkit: the trace {path} is not whole: {lost}")
    kept = _budgets(args, plan, report)
    code = _exit_code(outcome, report, kept or not args.check_budgets)
    # A session that failed matters more than a trace that was lost.
    return code or int(ExitCode.USAGE if lost else ExitCode.FINE)


def _budgets(args: argparse.Namespace, plan: Plan, report: Report) -> bool:
    """Say how the budgets were kept; True if all of them were."""
    from flowkit.report.budgets import judge, over

    verdicts = judge(report, plan.settings)
    if args.format != "json":
        late = [(turn.turn, lines) for turn in report.turns if (lines := over(turn, plan.settings))]
        _print([f"turn {turn} over budget: {'; '.join(lines)}" for turn, lines in late] + list(map(str, verdicts)))
    elif args.check_budgets:
        # To standard error, because standard output must hold the JSON and nothing else.
        for verdict in verdicts:
            _notice(str(verdict))
    return all(verdict.kept for verdict in verdicts)


def _exit_code(outcome: SessionOutcome, report: Report, kept: bool) -> int:
    if outcome.reason == "interrupted":
        return int(ExitCode.INTERRUPTED)
    if outcome.reason.startswith("failed") or any(turn.end_reason == "error" for turn in report.turns):
        return int(ExitCode.UNAVAILABLE)
    return int(ExitCode.FINE if kept else ExitCode.CHECKS_FAILED)
