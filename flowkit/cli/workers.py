"""The options of commands that replay many traces: how many processes they use, or which cluster."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from flowkit.errors import UsageError
from flowkit.jobs import Workers, cores


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="number of processes (default: one per core)")
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="run on the Dask cluster whose scheduler is there, such as tcp://10.0.0.7:8786",
    )


def traces_of(names: Iterable[str]) -> list[Path]:
    """The traces that these files and folders are and hold. Raises UsageError if one does not exist."""
    found: list[Path] = []
    for path in map(Path, names):
        if not path.exists():
            raise UsageError(f"there is no {path}")
        found += sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    return found


def workers_of(args: argparse.Namespace) -> Workers:
    """Where the command runs its jobs. Raises UsageError."""
    if args.dask is not None and args.jobs is not None:
        raise UsageError("--jobs is for processes of this machine, so it cannot be combined with --dask")
    jobs = cores() if args.jobs is None else args.jobs
    if jobs < 1:
        raise UsageError(f"--jobs must be at least 1 (got {jobs})")
    return Workers(jobs, args.dask or "")
