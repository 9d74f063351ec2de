"""``flowkit schema``: writes the JSON Schema with which editors complete and check pipeline files."""

from __future__ import annotations

import argparse
import sys

from flowkit.cli import quick


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "schema",
        help="write the JSON Schema of pipeline files, for editors",
        description="Write the JSON Schema of pipeline files, with all installed kinds and providers. An editor uses it if the "
        "first line of a pipeline file is: # yaml-language-server: $schema=PATH",
    )
    parser.add_argument("-o", "--output", metavar="PATH", help="write to a file instead of standard output")


def run(args: argparse.Namespace) -> int:
    """Write the schema."""
    quick.start()
    from flowkit.config.jsonschema import SCHEMA_MARK, schema_text
    from flowkit.errors import ExitCode
    from flowkit.files import write_whole

    text = schema_text()
    if args.output is None:
        sys.stdout.write(text)
        return ExitCode.FINE
    write_whole(args.output, text, parents=False, mine=SCHEMA_MARK)
    return ExitCode.FINE
