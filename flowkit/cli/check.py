"""``flowkit check``: finds errors and lints in pipeline files and in the pipelines of Markdown pages."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from flowkit.plural import counted

if TYPE_CHECKING:
    from flowkit.config import Problem
    from flowkit.plan import Plan

from flowkit.cli import quick
from flowkit.cli.streams import raw


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="find every mistake in pipeline files",
        description="Find all errors and lints in pipeline files. It is safe for files that you do not trust: no ${file:} is "
        "opened, and no variable's value is shown. Exit code 0: no errors, 2: errors, 4: with --live, a provider or device is "
        "unavailable.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="pipeline file (.yaml), page with pipelines (.md), or - for standard input",
    )
    parser.add_argument("--deny-warnings", action="store_true", help="treat warnings as errors (exit code 2)")
    parser.add_argument("--live", action="store_true", help="also load the providers and try services and devices")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a value before the check, such as stages.llm.model=x",
    )
    parser.add_argument(
        "--format",
        choices=("full", "concise", "json", "github", "sarif"),
        default="full",
        help="output format (default: full)",
    )


def run(args: argparse.Namespace) -> int:
    """Check the files. Prints the problems to stdout and a summary to stderr."""
    quick.start()
    from flowkit.config.problems import errors, in_order
    from flowkit.config.render import render
    from flowkit.errors import ExitCode

    problems: list[Problem] = []
    plans: list[Plan] = []
    for name in args.files:
        found, sound = _checked(name, args.set)
        problems += found
        plans += sound
    # Over all files together: two may include the same one, whose problems would be shown twice.
    problems = list(in_order(problems))
    terminal = sys.stdout.isatty()
    raw(sys.stdout).write(
        render(problems, args.format, terminal=terminal, colour=terminal and "NO_COLOR" not in os.environ)
    )
    # To standard error, because standard output may be JSON for a program.
    print(_summary(problems, len(args.files)), file=sys.stderr)
    if errors(problems) or (args.deny_warnings and any(p.severity == "warning" for p in problems)):
        return ExitCode.USAGE
    return _ask(plans) if args.live else ExitCode.FINE


def _checked(name: str, overrides: list[str]) -> tuple[list[Problem], list[Plan]]:
    """The problems of a file, and the plans of the pipelines in it that have no errors."""
    from flowkit.config import Outside, read
    from flowkit.plan import vet

    if name.endswith((".md", ".markdown")):
        return _checked_page(name, overrides)
    verdict = vet(read(name, overrides=overrides, outside=Outside(environ=os.environ)))
    return list(verdict.problems), [verdict.plan] if verdict.plan and not verdict.errors else []


def _checked_page(name: str, overrides: list[str]) -> tuple[list[Problem], list[Plan]]:
    from pathlib import Path

    from flowkit.config import Outside
    from flowkit.config.catalog import INSTALLED
    from flowkit.config.load import read_text
    from flowkit.config.markdown import yaml_blocks
    from flowkit.config.parse import parse
    from flowkit.config.read import read_source
    from flowkit.plan import vet

    problems: list[Problem] = []
    plans: list[Plan] = []
    page = read_source(Path(name), name, problems)
    for block in yaml_blocks(page) if page else ():
        if "wrong" in block.words:
            continue
        if not block.is_pipeline:
            parse(block.source, problems)
            continue
        verdict = vet(read_text(block.source, overrides, Outside(environ=os.environ), INSTALLED, []))
        problems += verdict.problems
        plans += [verdict.plan] if verdict.plan and not verdict.errors else []
    return problems, plans


def _summary(problems: list[Problem], files: int) -> str:
    counts = {kind: sum(problem.severity == kind for problem in problems) for kind in ("error", "warning", "notice")}
    said = ", ".join(counted(n, kind) for kind, n in counts.items() if n)
    return f"{said or 'no problems'} in {counted(files, 'file')}"


def _ask(plans: list[Plan]) -> int:
    """Load every provider of the plans, one after another, and print the results."""
    from flowkit.cli.live import ready
    from flowkit.errors import ExitCode

    sound = True
    for plan in plans:
        for line, fine in ready(plan):
            print(line, file=sys.stdout if fine else sys.stderr)
            sound = sound and fine
    return ExitCode.FINE if sound else ExitCode.UNAVAILABLE
