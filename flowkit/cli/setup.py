"""``flowkit setup local``: fetch what plain pip install cannot."""

from __future__ import annotations

import argparse


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("setup", description="Fetch what plain pip install cannot, and check what is there.")
    parser.add_argument("what", choices=("local",), help="local: the embedded models")


def run(args: argparse.Namespace) -> int:
    """0 if all is there and sound, 4 if something cannot be had or is damaged."""
    from flowkit.cli.setup_local import setup_local

    return setup_local(lambda line: print(line, flush=True))
