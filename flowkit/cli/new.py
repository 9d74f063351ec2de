"""``flowkit new``: a pipeline file to begin with."""

from __future__ import annotations

import argparse
import sys

from flowkit.cli import quick


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "new",
        help="write a pipeline file for the named providers",
        description="Write a pipeline file with the named providers, and flowkit's own for the rest, to standard output.",
        epilog="example: flowkit new asr/moonshine llm/llamacpp tts/piper > my.yaml",
    )
    parser.add_argument(
        "providers", nargs="*", metavar="KIND/PROVIDER", help="such as llm/llamacpp; `flowkit providers` lists them"
    )


def run(args: argparse.Namespace) -> int:
    """Print the file."""
    quick.start()
    from flowkit.config.template import template
    from flowkit.errors import ExitCode

    sys.stdout.write(template(args.providers))
    return ExitCode.FINE
