"""``flowkit setup``: installs the models that pip install alone does not bring."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flowkit.errors import UsageError

if TYPE_CHECKING:
    from flowkit.errors import FlowkitError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "setup", description="Install the models that pip install does not bring, and check all embedded models."
    )
    parser.add_argument(
        "what", choices=("local", "turn"), help="local: the embedded models; turn: the predictor smart_turn"
    )
    parser.add_argument(
        "--free", action="store_true", help="leave out what is licensed under the GPL (the voice piper)"
    )


def run(args: argparse.Namespace) -> int:
    """Install and check the models. Exit code 4 if one cannot be installed or is damaged."""
    if args.what == "local":
        return install(free=args.free)
    if args.free:
        raise UsageError("--free is for the embedded models; nothing that the predictor needs is under the GPL")
    from flowkit.cli.setup_local import setup_turn

    return setup_turn(lambda line: print(line, flush=True))


def mends(error: FlowkitError) -> bool:
    """Whether this command installs what `error` says is missing."""
    from flowkit.providers.weights import SETUP_LOCAL

    problems = getattr(error, "problems", ())
    faults = [problem.help for problem in problems if problem.severity == "error"]
    return SETUP_LOCAL in error.hint or (bool(faults) and all(SETUP_LOCAL in help for help in faults))


def offered() -> bool:
    """Ask on the terminal, once for all, whether to install the embedded models."""
    from flowkit.cli import ask
    from flowkit.cli.setup_local import lacks_gpl
    from flowkit.providers.weights import LOCAL_DOWNLOAD

    gpl = ", with the voice piper-tts under GPL-3.0-or-later, or without it: flowkit setup local --free"
    return ask.yes(
        f"Install the embedded models now (flowkit setup local, {LOCAL_DOWNLOAD}{gpl if lacks_gpl() else ''})?"
    )


def install(*, free: bool = False, agreed: bool = False) -> int:
    """The same, for other commands. `agreed`: the user has been asked about the GPL."""
    from flowkit.cli import ask
    from flowkit.cli.setup_local import setup_local

    def agrees() -> bool:
        return agreed or not ask.can_ask() or ask.yes("Install piper-tts?")

    return setup_local(lambda line: print(line, flush=True), free=free, agrees=agrees)
