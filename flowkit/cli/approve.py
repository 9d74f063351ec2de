"""``flowkit approve``: shows how the result of a stored trace differs from the approved one, and accepts it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flowkit.cli.workers import configure, traces_of, workers_of
from flowkit.errors import ExitCode, UsageError
from flowkit.files import write_whole
from flowkit.jobs import in_order
from flowkit.plural import counted

if TYPE_CHECKING:
    from flowkit.report.outcome import Change
    from flowkit.testing.suite.expectations import Expectations


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "approve",
        description="Replay stored traces, show turn by turn how the results differ from the approved ones, and accept them. "
        "An accepted result is written to NAME.expect.yaml beside NAME.jsonl. Does not run in CI (if the variable CI is set).",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="traces, or folders with traces")
    parser.add_argument("--pipeline", metavar="FILE", help="the pipeline file to replay a new test with")
    parser.add_argument("--dry-run", action="store_true", help="only show; exit code 1 if something would change")
    configure(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="accept without asking")


def run(args: argparse.Namespace) -> int:
    """Show and accept the results, one trace after another. Exit code 1 if a result differs and was not accepted."""
    # In CI nobody looks at the changes, so every wrong result would become the approved one.
    if os.environ.get("CI") and not args.dry_run:
        raise UsageError(
            "approve does not run in CI", hint="approve on your own machine and commit the .expect.yaml files"
        )
    paths = traces_of(args.traces)
    if not paths:
        print("flowkit: no traces found", file=sys.stderr)
        return int(ExitCode.NOTHING_COLLECTED)
    if not (args.yes or args.dry_run or sys.stdin.isatty()):
        hint = "look at the changes with --dry-run, and accept them with -y"
        raise UsageError("approve asks before it accepts a result, and there is no terminal to ask on", hint=hint)
    jobs = [_Asked(path, args.pipeline) for path in paths]
    with closing(in_order(_proposed, jobs, workers_of(args), name=str)) as running:
        refused = sum(not _approve(proposal, args) for proposal in running)
    return int(ExitCode.CHECKS_FAILED if refused else ExitCode.FINE)


class _Asked(NamedTuple):
    """One trace to replay, and the pipeline file of a new test."""

    path: Path
    pipeline: str | None

    def __str__(self) -> str:
        return str(self.path)


class _Proposal(NamedTuple):
    """The new result of one trace. `text` are the expectations that hold it."""

    path: Path
    new: bool
    """Whether there was no approved result yet."""
    changes: list[Change]
    turns: int
    text: str
    notices: tuple[str, ...] = ()
    lacking: bool = False
    """Whether the approved result was stored before all of today's figures were."""


def _proposed(asked: _Asked) -> _Proposal:
    from flowkit.testing.suite.approved import changes
    from flowkit.testing.suite.expectations import begin_with, with_approved
    from flowkit.testing.suite.stored import replay_stored

    stored = replay_stored(asked.path, begin_with(asked.path, asked.pipeline))
    approved, now = stored.expectations.approved, stored.now
    found = list(changes(approved, now)) if approved else []
    text, lacking = with_approved(stored.expectations, now), not {*now} <= {*approved}
    # What a new test rests on is said before it is accepted. Later on, `flowkit test` says it.
    assumed = () if approved else tuple(f"{asked.path}: {told}" for told in stored.replayed.report.notices)
    unseen = () if approved else _unseen(stored.expectations)
    notices = (*_unused(stored.expectations, asked.pipeline), *unseen, *assumed)
    return _Proposal(asked.path, not approved, found, len(now["turns"]), text, notices, lacking)


def _unused(expectations: Expectations, pipeline: str | None) -> Iterator[str]:
    """That the test does not replay with `pipeline`, as it has its own."""
    path, own = expectations.path, expectations.expect.pipeline
    if pipeline is None or (own is not None and os.path.realpath(path.parent / own) == os.path.realpath(pipeline)):
        return
    kept = f"with {own}" if own else "with the recorded configuration"
    named = os.path.relpath(pipeline, path.parent)
    yield f"{path} is a test already, and replays {kept}, not with --pipeline; to change that, write `pipeline: {named}` in it"


def _unseen(expectations: Expectations) -> Iterator[str]:
    """That a new test does not see what changes in a pipeline file, as it names none."""
    if expectations.expect.pipeline is None:
        yield (
            f"{expectations.path}: the test has the recorded configuration, so it will not see changes of a pipeline file; to test "
            "a file, approve with --pipeline FILE, or write `pipeline: FILE` in the test and approve it again"
        )


def _approve(proposal: _Proposal, args: argparse.Namespace) -> bool:
    """Show and accept the result of one trace. Returns whether its result is now the approved one."""
    from flowkit.testing.suite.expectations import expectations_path, new_path

    path, found = proposal.path, proposal.changes
    for notice in proposal.notices:
        print(f"flowkit: {notice}", file=sys.stderr)
    if not proposal.new and not found:
        print(f"{path}: as approved")
        new_path(path).unlink(missing_ok=True)
        # An older result lacks figures that are compared today.
        if proposal.lacking and not args.dry_run:
            write_whole(expectations_path(path), proposal.text)
        return True
    print(
        f"{path}: new, {counted(proposal.turns, 'turn')}"
        if proposal.new
        else f"{path}: {counted(len(found), 'change')}"
    )
    for change in found:
        print(f"  {change}")
    if args.dry_run or not (args.yes or _agreed()):
        return False
    target = expectations_path(path)
    write_whole(target, proposal.text)
    new_path(path).unlink(missing_ok=True)
    print(f"  accepted in {target}")
    return True


def _agreed() -> bool:
    return input("  accept? [y/N] ").strip().lower() in ("y", "yes")
