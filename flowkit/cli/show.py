"""``flowkit show``: shows a configuration as flowkit reads it, with or without defaults, and the origin of each
value."""

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
        description="Show a pipeline file as flowkit reads it, with includes and --set applied. "
        "Secrets are masked. Variables that are not set stay as they are.",
    )
    parser.add_argument("file", metavar="FILE", help="pipeline file, or - for standard input")
    parser.add_argument("--resolved", action="store_true", help="write out all defaults")
    parser.add_argument("--origin", action="store_true", help="add to each value where it comes from")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a value first")


def run(args: argparse.Namespace) -> int:
    """Print the configuration as YAML, and notices to stderr."""
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
