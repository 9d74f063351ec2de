"""``flowkit graph``: draws a pipeline, with the bounds and policies of queues on its edges."""

from __future__ import annotations

import argparse
import os
import sys

from flowkit.cli import quick


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "graph", help="draw the pipeline", description="Draw a pipeline, with the bounds and policies of its queues."
    )
    parser.add_argument("file", metavar="FILE", help="pipeline file, or - for standard input")
    parser.add_argument(
        "--format", choices=("ascii", "mermaid", "dot", "svg"), default="ascii", help="output format (default: ascii)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a value first")


def run(args: argparse.Namespace) -> int:
    """Print the drawing."""
    quick.start()
    from flowkit.config import Outside, Unset, load
    from flowkit.errors import ExitCode
    from flowkit.plan import resolve
    from flowkit.plan.draw import ascii_art, dot, mermaid
    from flowkit.plan.svg import svg

    config = load(args.file, overrides=args.set, outside=Outside(environ=os.environ, unset=Unset.KEEP))
    plan = resolve(config, installed=False)
    drawings = {"ascii": ascii_art, "mermaid": mermaid, "dot": dot, "svg": svg}
    sys.stdout.write(drawings[args.format](plan))
    return ExitCode.FINE
