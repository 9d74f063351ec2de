"""``flowkit show``: a configuration as flowkit reads it, with or without defaults, and where each value comes from."""

from __future__ import annotations

import argparse
import os
import sys

from flowkit.cli import quick


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "show",
        help="show a configuration as flowkit reads it",
        description="Show a pipeline as flowkit reads it, with its includes and --set. "
        "Secrets are masked; variables that are not set stay as they are.",
    )
    parser.add_argument("file", metavar="FILE", help="pipeline, or - for standard input")
    parser.add_argument("--resolved", action="store_true", help="with every default written out")
    parser.add_argument("--origin", action="store_true", help="say behind each value where it comes from")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a value first")


def run(args: argparse.Namespace) -> int:
    """Print the configuration as YAML; notices go to stderr."""
    quick.start()
    from flowkit.config import Outside, Unset, load
    from flowkit.errors import ExitCode
    from flowkit.plan.resolve import draw
    from flowkit.plan.show import show

    config = load(args.file, overrides=args.set, outside=Outside(environ=os.environ, unset=Unset.KEEP, reveal=True))
    drawn = draw(config, installed=False)
    for problem in (*config.notices, *drawn.problems):
        print(problem.full(), file=sys.stderr)
    sys.stdout.write(show(config, drawn.plan, origin=args.origin, defaults=args.resolved))
    return ExitCode.FINE
