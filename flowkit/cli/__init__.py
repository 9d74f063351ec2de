"""The command line. Each command has a module that is imported only when the command is called, so that it starts
quickly."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from flowkit import __version__
from flowkit.cli.streams import outlets, raw
from flowkit.errors import ExitCode, FlowkitError, UsageError
from flowkit.files import reason_of
from flowkit.secrets import learn_environment

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("flowkit.cli.init", "begin a project: a pipeline, a test, a CI workflow and a README"),
    "run": ("flowkit.cli.run", "run a pipeline, live or from a file"),
    "serve": ("flowkit.cli.serve", "let clients talk to a pipeline, over OpenAI's Realtime protocol"),
    "check": ("flowkit.cli.check", "find every mistake in a pipeline file"),
    "show": ("flowkit.cli.show", "show a configuration as flowkit reads it, with defaults and origins"),
    "graph": ("flowkit.cli.graph", "draw the pipeline"),
    "new": ("flowkit.cli.new", "write a pipeline file, or a package with a provider or a stage of your own"),
    "schema": ("flowkit.cli.schema", "write the JSON Schema of pipeline files, for editors"),
    "explain": ("flowkit.cli.explain", "explain an error code"),
    "providers": ("flowkit.cli.providers_", "list the providers and whether they are installed"),
    "import": ("flowkit.cli.import_", "make a trace of a call that another system recorded"),
    "pin": ("flowkit.cli.pin", "make a test of one turn of a trace"),
    "replay": ("flowkit.cli.replay", "run a trace again"),
    "diff": ("flowkit.cli.diff", "compare two traces, or a trace and its replay"),
    "fidelity": ("flowkit.cli.fidelity", "say how well predictions hold on recordings of one's own"),
    "sweep": ("flowkit.cli.sweep", "try many settings on many traces"),
    "shrink": ("flowkit.cli.shrink", "find the fewest turns of a trace that still show something"),
    "test": ("flowkit.cli.test", "run the tests of pipeline files and stored traces"),
    "approve": ("flowkit.cli.approve", "accept the new results of stored traces"),
    "bench": ("flowkit.cli.bench", "measure on recordings when the user's turn is taken to be over"),
    "label": ("flowkit.cli.label", "say by hand when the user's turns ended in a recorded session"),
    "report": ("flowkit.cli.report", "show a recorded session, on the terminal or as an HTML page"),
    "trace": ("flowkit.cli.trace_", "inspect, repair, redact or export a trace"),
    "setup": ("flowkit.cli.setup", "install models that pip install does not bring"),
    "emulate": ("flowkit.cli.emulate", "run a cloud provider's emulator, to develop without keys"),
    "doctor": ("flowkit.cli.doctor", "check the devices, models and keys of this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (``flowkit.errors.ExitCode``)."""
    args = list(sys.argv[1:] if argv is None else argv)
    # Before anything else, so that not even an early error can show a key.
    learn_environment(os.environ)
    # A session goes on without a reader of its output. All other commands have nothing else to do.
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
        return int(ExitCode.FINE)  # the reader of our output has closed it, as `head` does
    except OSError as error:
        # Commands report errors of their own files. What is left are errors of the machine, such as a full disk.
        where = f"{error.filename}: " if error.filename else ""
        print(f"flowkit: {where}{reason_of(error)}", file=sys.stderr)
        return int(ExitCode.USAGE)
    except Exception as error:  # a bug in flowkit: reported in one line, with a traceback if FLOWKIT_DEBUG is set
        if os.environ.get("FLOWKIT_DEBUG"):
            raise
        print(f"flowkit: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        print("    help: set FLOWKIT_DEBUG=1 to see the traceback, and please report it", file=sys.stderr)
        return int(ExitCode.INTERNAL)


def _say(error: FlowkitError) -> None:
    """Print an error. Errors of a pipeline file are shown as ``flowkit check`` shows them: file, line and column
    first."""
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
    if name and name not in COMMANDS and not name.startswith("-"):
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        raise UsageError(
            f"there is no command {name!r}", hint=f"did you mean {near[0]!r}?" if near else "flowkit --help lists them"
        )
    if name not in COMMANDS:
        _overview().parse_args(args)
        _overview().print_help(sys.stderr)
        return int(ExitCode.USAGE)
    # This command's module alone, because importing all of them would delay every start.
    module = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog="flowkit")
    module.add(parser.add_subparsers())
    parsed = parser.parse_args(args)
    return int(module.run(parsed))


def _overview() -> argparse.ArgumentParser:
    """The parser without a command: for help, version, and the error about an unknown command."""
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items() if _there(name))
    parser = argparse.ArgumentParser(
        prog="flowkit",
        usage="flowkit COMMAND ...",
        description="A declarative framework for real-time voice agents.",
        epilog=f"commands:\n{listing}\n\n'flowkit COMMAND --help' describes a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"flowkit {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", nargs="?", help=argparse.SUPPRESS)
    return parser


def _there(name: str) -> bool:
    return importlib.util.find_spec(COMMANDS[name][0]) is not None
