"""The command line: thin, and quick to start. Each command lives in a module that is imported only when it is called."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from flowkit import __version__
from flowkit.cli.streams import outlets, raw
from flowkit.errors import ExitCode, FlowkitError
from flowkit.files import reason_of
from flowkit.secrets import learn_environment

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("flowkit.cli.run", "run a pipeline, live or from a file"),
    "check": ("flowkit.cli.check", "find every mistake in a pipeline file"),
    "show": ("flowkit.cli.show", "show a configuration as flowkit reads it, with defaults and origins"),
    "graph": ("flowkit.cli.graph", "draw the pipeline"),
    "new": ("flowkit.cli.new", "write a pipeline file, or a package with a provider or a stage of your own"),
    "schema": ("flowkit.cli.schema", "write the JSON Schema that editors check with"),
    "explain": ("flowkit.cli.explain", "explain an error code"),
    "providers": ("flowkit.cli.providers_", "list what is installed and what it needs"),
    "replay": ("flowkit.cli.replay", "run a trace again"),
    "diff": ("flowkit.cli.diff", "compare two traces, or a trace and its replay"),
    "test": ("flowkit.cli.test", "run the tests of pipeline files and stored traces"),
    "approve": ("flowkit.cli.approve", "accept what a stored trace gives now"),
    "report": ("flowkit.cli.report", "show a recorded session, on the terminal or as a page"),
    "trace": ("flowkit.cli.trace_", "look into, repair, redact or export a trace"),
    "setup": ("flowkit.cli.setup", "fetch what plain pip install cannot"),
    "emulate": ("flowkit.cli.emulate", "run a cloud provider's emulator, to develop without keys"),
    "doctor": ("flowkit.cli.doctor", "look at devices, models and keys of this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (``flowkit.errors.ExitCode``)."""
    args = list(sys.argv[1:] if argv is None else argv)
    learn_environment(os.environ)
    with outlets(patient=args[:1] == ["run"]) as lost:
        code = _run(args)
    if lost:
        print(f"flowkit: {lost[0]}", file=sys.stderr)
    return code or int(ExitCode.USAGE if lost else ExitCode.FINE)


def _run(args: list[str]) -> int:
    try:
        return _dispatch(args)
    except FlowkitError as error:
        _say(error)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        return int(ExitCode.FINE)  # whoever read our output has gone, and has what he wanted
    except OSError as error:
        # No file of a command's own: those have words for what fails. What is left is the machine's, such as a disk that is full.
        where = f"{error.filename}: " if error.filename else ""
        print(f"flowkit: {where}{reason_of(error)}", file=sys.stderr)
        return int(ExitCode.USAGE)
    except Exception as error:  # the last resort: a defect of flowkit, said in one line, whole with FLOWKIT_DEBUG
        if os.environ.get("FLOWKIT_DEBUG"):
            raise
        print(f"flowkit: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        print("    help: set FLOWKIT_DEBUG=1 to see where, and please report it", file=sys.stderr)
        return int(ExitCode.INTERNAL)


def _say(error: FlowkitError) -> None:
    """An error for people. A wrong pipeline file is shown as ``flowkit check`` shows it: file, line and column first."""
    problems = getattr(error, "problems", ())
    if problems:
        from flowkit.config.render import render

        terminal = sys.stderr.isatty()
        colour = terminal and "NO_COLOR" not in os.environ
        raw(sys.stderr).write(render(problems, "full", terminal=terminal, colour=colour))
        return
    print(f"flowkit: {error}", file=sys.stderr)
    if error.hint:
        print(f"    help: {error.hint}", file=sys.stderr)


def _dispatch(args: list[str]) -> int:
    name = args[0] if args else ""
    if name not in COMMANDS:
        _overview().parse_args(args)
        _overview().print_help(sys.stderr)
        return int(ExitCode.USAGE)
    module = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog="flowkit")
    module.add(parser.add_subparsers())
    parsed = parser.parse_args(args)
    return int(module.run(parsed))


def _overview() -> argparse.ArgumentParser:
    """The parser for everything but a known command: help, version, and the error for an unknown name."""
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items() if _there(name))
    parser = argparse.ArgumentParser(
        prog="flowkit",
        usage="flowkit COMMAND ...",
        description="A declarative framework for real-time voice agents.",
        epilog=f"commands:\n{listing}\n\n'flowkit COMMAND --help' says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"flowkit {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", nargs="?", help=argparse.SUPPRESS)
    return parser


def _there(name: str) -> bool:
    return importlib.util.find_spec(COMMANDS[name][0]) is not None
