"""``flowkit explain``: explains an error code, with a wrong example and a right one."""

from __future__ import annotations

import argparse
import sys

from flowkit.cli import quick


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "explain",
        help="explain an error code",
        description="Explain an error code such as FK103. Without a code, list all codes.",
    )
    parser.add_argument("code", nargs="?", metavar="CODE", help="a code, such as FK103")


def run(args: argparse.Namespace) -> int:
    """Print the page of a code, or the list of codes."""
    quick.start()
    from flowkit.config.codes import pages
    from flowkit.config.problems import suggest
    from flowkit.errors import ExitCode, UsageError

    known = pages()
    if args.code is None:
        sys.stdout.write("".join(f"{code}  {page.title}\n" for code, page in known.items()))
        return ExitCode.FINE
    code = args.code.upper()
    if code not in known:
        raise UsageError(
            f"there is no code {args.code!r}", hint=suggest(code, known, "codes").replace(code.lower(), code)
        )
    sys.stdout.write(known[code].markdown())
    return ExitCode.FINE
