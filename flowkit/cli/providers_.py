"""``flowkit providers``: lists the known providers, and the command that installs each missing one."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowkit.providers.registry import ProviderEntry

from flowkit.cli import quick
from flowkit.config.prices import UNITS


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "providers",
        help="list the providers and whether they are installed",
        description="List all known providers, whether each is installed, the command that installs it, the unit of its "
        "price, and the licences of the packages and models that it uses. "
        "After them, list the kinds of stages that installed packages add.",
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help="only providers for this kind of stage, such as tts")
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    quick.start()
    from flowkit.config.kinds import added
    from flowkit.config.problems import suggest
    from flowkit.errors import ExitCode, UsageError
    from flowkit.providers.registry import available

    rows = available()
    kinds = {row.kind for row in rows}
    if args.kind is not None and args.kind not in kinds:
        raise UsageError(f"no provider has the kind {args.kind!r}", hint=suggest(args.kind, kinds, "kinds"))
    wanted = [row for row in rows if args.kind in (None, row.kind)]
    if args.format == "json":
        sys.stdout.write(json.dumps([_record(row) for row in wanted], indent=2) + "\n")
        return ExitCode.FINE
    cells = [("provider", "state", "package", "paid by", "licences of what it uses")]
    cells += [(f"{row.kind}/{row.name}", state(row), row.package, paid_by(row), licences(row)) for row in wanted]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if args.kind is None and (kinds_added := added()):
        print(f"\nstages: {', '.join(f'{claim.name} ({claim.package})' for claim in kinds_added)}")
    return ExitCode.FINE


def state(row: ProviderEntry) -> str:
    """Whether a provider can be used, and otherwise what is missing or wrong."""
    if row.problem:
        return f"unusable: {row.problem}"
    if row.missing:
        return f"not installed: {row.install}" if row.install else f"not installed: no module {', '.join(row.missing)}"
    return "installed"


def paid_by(row: ProviderEntry) -> str:
    """The units of its price; ``nothing`` for one that runs on this machine."""
    if not row.remote or row.kind not in UNITS:
        return "nothing"
    return f"{UNITS[row.kind]}, or tokens" if row.tells_tokens else UNITS[row.kind]


def licences(row: ProviderEntry) -> str:
    """The licence of each package and model."""
    return ", ".join(f"{what}: {licence}" for what, licence in row.licences)


def _record(row: ProviderEntry) -> dict[str, object]:
    return {
        "kind": row.kind,
        "name": row.name,
        "package": row.package,
        "installed": not row.missing and not row.problem,
        "missing": list(row.missing),
        "install": row.install,
        "licences": dict(row.licences),
        "paid_by": paid_by(row),
        "problem": row.problem,
    }
