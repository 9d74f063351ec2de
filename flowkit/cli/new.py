"""``flowkit new``: writes a pipeline file, or a package with a provider or a stage of your own."""

from __future__ import annotations

import argparse
import sys

from flowkit.cli import quick


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "new",
        help="write a pipeline file, or a package with a provider or a stage of your own",
        description="Write a pipeline file with the named providers; the other stages get flowkit's default "
        "providers. Or write a working package with a provider or a stage of your own into a new folder.",
        usage="flowkit new [KIND/PROVIDER ...] [-o FILE]\n"
        "       flowkit new provider KIND/NAME [--into FOLDER]\n"
        "       flowkit new stage NAME [--into FOLDER]\n"
        "       flowkit new ci [--into FOLDER]",
        epilog="examples: flowkit new asr/moonshine llm/llamacpp tts/piper -o my.yaml; flowkit new provider tts/mine",
    )
    parser.add_argument(
        "what", nargs="*", metavar="KIND/PROVIDER", help="such as llm/llamacpp; `flowkit providers` lists all"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="a new file for the pipeline (default: standard output)")
    parser.add_argument("--into", metavar="FOLDER", help="parent of the package's folder (default: the current folder)")


def run(args: argparse.Namespace) -> int:
    """Print the pipeline file, or write the package and print its folder."""
    quick.start()
    from flowkit.errors import ExitCode, UsageError

    if args.what == ["ci"] and args.output is None:
        return _workflow(args.into or ".")
    if args.what[:1] in (["provider"], ["stage"]):
        if args.output is not None:
            raise UsageError("--output is for a pipeline; a package goes into a folder: --into FOLDER")
        return _package(args.what, args.into or ".")
    if args.into is not None:
        raise UsageError("--into is only for `flowkit new provider`, `flowkit new stage` and `flowkit new ci`")
    from flowkit.config.template import template

    text = template(args.what)
    if args.output is None:
        sys.stdout.write(text)
        return ExitCode.FINE
    _write(args.output, text, "give another name")
    print(f"next: flowkit check {args.output}", file=sys.stderr)
    return ExitCode.FINE


def _write(output: str, text: str, hint: str) -> None:
    """Raises OutputError with this hint if there is such a file."""
    from pathlib import Path

    from flowkit.errors import OutputError
    from flowkit.files import is_device, write_whole

    if Path(output).exists() and not is_device(Path(output)):
        raise OutputError(f"{output} already exists", hint=hint)
    write_whole(output, text)


def _workflow(into: str) -> int:
    """Write the GitHub Actions workflow. Raises OutputError if there is one."""
    from pathlib import Path

    from flowkit.errors import ExitCode
    from flowkit.scaffold.project import AGENT
    from flowkit.scaffold.project_text import CORPUS_WORKFLOW

    path = str(Path(into) / ".github" / "workflows" / "voice.yaml")
    hint = (
        "`flowkit init` writes it too. To have this one instead, remove it first, or write elsewhere with --into FOLDER"
    )
    _write(path, CORPUS_WORKFLOW, hint)
    print(path)
    call, test = "flowkit import CALL.wav -o calls/NAME.jsonl", "flowkit approve calls"
    print(f"next: {call} --pipeline {AGENT} && {test} --pipeline {AGENT}, and commit both", file=sys.stderr)
    return ExitCode.FINE


def _package(what: list[str], into: str) -> int:
    from pathlib import Path

    from flowkit.errors import ExitCode, UsageError
    from flowkit.scaffold import write

    wanted = {"provider": "KIND/NAME, such as tts/mine", "stage": "a name, such as word_filter"}[what[0]]
    if len(what) != 2:
        raise UsageError(f"flowkit new {what[0]} takes {wanted}")
    if what[0] == "stage":
        folder = write.stage(what[1], Path(into))
    else:
        kind, slash, name = what[1].partition("/")
        if not slash:
            raise UsageError(f"flowkit new provider takes {wanted} (got {what[1]!r})")
        folder = write.provider(kind, name, Path(into))
    print(folder)
    print(f"next: pip install -e '{folder}[dev]' && pytest {folder}", file=sys.stderr)
    return ExitCode.FINE
