"""``flowkit init``: writes a project that runs: a pipeline, its tests, a CI workflow and a README."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.cli import quick

if TYPE_CHECKING:
    from flowkit.scaffold.project import Flavour, NewFiles

_WHAT = {
    "local": "models on this machine, without network or key (English)",
    "cloud": "AssemblyAI, Groq and Cartesia, with your keys",
    "text": "typed lines and a canned reply, to begin without any model",
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "init",
        help="begin a project",
        description="Write a pipeline, a test of it, a CI workflow and a README. Files that are there stay as they are. "
        "On a terminal, what the command line does not say is asked.",
    )
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="where to (default: this folder)")
    models = parser.add_mutually_exclusive_group()
    for flavour, what in _WHAT.items():
        models.add_argument(
            f"--{flavour}", dest="flavour", action="store_const", const=flavour, help=what.partition(" (")[0]
        )
    models.add_argument("--samples", action="store_true", help="write flowkit's sample pipelines and traces instead")
    parser.add_argument("--language", metavar="CODE", help="what the agent hears and speaks (default: en)")
    parser.add_argument("--name", metavar="NAME", help="the agent's name (default: the folder's)")


def run(args: argparse.Namespace) -> int:
    """Write the files, and say what to do next. Exit code 2 if there is a project already."""
    quick.start()
    from flowkit.errors import ExitCode, UsageError
    from flowkit.scaffold.project import project, samples

    into = Path(args.folder)
    if args.samples:
        if args.language is not None or args.name is not None:
            raise UsageError("--samples takes neither --language nor --name")
        _tell(samples(into))
        print(f"next: {_within(into)}flowkit run pipelines/scripted.yaml", file=sys.stderr)
        return ExitCode.FINE
    flavour = _flavour(args)
    done = project(into, flavour, language=_language(args, flavour), name=_name(args, into))
    _tell(done)
    print(f"next: {_within(into)}{_next(flavour)}", file=sys.stderr)
    return ExitCode.FINE


def _flavour(args: argparse.Namespace) -> Flavour:
    from flowkit.cli import ask
    from flowkit.errors import UsageError
    from flowkit.scaffold.project import Flavour

    if args.flavour is None and not ask.can_ask():
        raise UsageError("init needs to know where the models run", hint="flowkit init --local, --cloud or --text")
    return Flavour(args.flavour or ask.choice("Where do the models run?", _WHAT, "local"))


def _language(args: argparse.Namespace, flavour: Flavour) -> str:
    from flowkit.cli import ask
    from flowkit.scaffold.phrases import LANGUAGES

    # The embedded models leave no choice.
    if args.language is not None or args.flavour is not None or flavour == "local":
        return args.language or "en"
    named = {code: phrases.language for code, phrases in LANGUAGES.items()}
    return ask.choice("Which language does the agent speak?", named, "en")


def _name(args: argparse.Namespace, into: Path) -> str:
    from flowkit.cli import ask

    if args.name is not None or args.flavour is not None:
        return args.name or ""
    return ask.text("What is the agent's name? Its recordings and reports carry it.", into.resolve().name or "agent")


def _tell(done: NewFiles) -> None:
    for path in done.new:
        print(path)
    for path in done.kept:
        print(f"{path} exists, and stays as it is", file=sys.stderr)


def _next(flavour: Flavour) -> str:
    return {"local": "flowkit setup local, then flowkit run", "text": "flowkit run"}.get(
        flavour, "set the keys that README.md names, then flowkit run"
    )


def _within(folder: Path) -> str:
    return "" if folder.resolve() == Path.cwd() else f"cd {os.fspath(folder)!r}, then "
