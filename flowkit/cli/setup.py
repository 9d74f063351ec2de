"""``flowkit setup local``: installs the models that pip install does not bring."""

from __future__ import annotations

import argparse


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "setup", description="Install the models that pip install does not bring, and check all embedded models."
    )
    parser.add_argument("what", choices=("local",), help="local: the embedded models")


def run(args: argparse.Namespace) -> int:
    """Install and check the models. Exit code 4 if one cannot be installed or is damaged."""
    from flowkit.cli.setup_local import setup_local

    return setup_local(lambda line: print(line, flush=True))
