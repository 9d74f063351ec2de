"""``flowkit test``: runs the tests of pipeline files, and compares stored traces with their approved results."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.cli.pages import check_folder, write_pages
from flowkit.cli.workers import configure, workers_of
from flowkit.clock import whole_ms
from flowkit.errors import ExitCode, UsageError
from flowkit.files import cannot_write, reserve, write_whole

if TYPE_CHECKING:
    from flowkit.report.outcome import Outcome
    from flowkit.testing.suite import Collected

_SIGNS = {"passed": ".", "failed": "F", "error": "E"}
_WIDTH = 72
_MOST_CHANGES = 40
_MARKS = {"junit": '<testsuites name="flowkit"', "json": '"findings": [', "markdown": "## flowkit test:"}
_PAGES = "pages"
"""Near the beginning of a report: what distinguishes it from other files."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "test",
        description="Run the tests of pipeline files, and replay stored traces that have expectations (NAME.expect.yaml beside "
        "NAME.jsonl). Exit code 0: all passed, 1: some failed, 2: a test cannot be run, 5: no tests found.",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files, FILE::TEST, or folders to search (default: ., without --corpus)",
    )
    parser.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="FOLDER",
        help="also test the traces of this folder, and fail only for what is worse than approved: slower, cut off, or gone; may be "
        "repeated",
    )
    configure(parser)
    parser.add_argument(
        "--env", action="store_true", help="let pipeline files use environment variables; only for files that you trust"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print a line for each test instead of a dot")
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FORM=FILE",
        help="also write a report: junit=FILE, json=FILE, markdown=FILE, or pages=FOLDER with a page of each stored trace that "
        "fails; may be repeated",
    )
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Run all tests found. Prints progress and failures to stdout, and notices to stderr."""
    from flowkit.testing.suite import run as run_all

    reports = [_report(text) for text in args.report]
    workers = workers_of(args)
    found = _collected(args)
    _check_reports(reports, [*found.read, *(Path(path) for item in found.items for path in item.files())])
    progress = _Progress(args.verbose) if args.format == "plain" else None
    outcomes: list[Outcome] = []
    with closing(run_all(found.items, workers)) as running:
        for outcome in chain(found.wrong, running):
            outcomes.append(outcome)
            if progress is not None:
                progress.tell(outcome)
    _tell(outcomes, args.format)
    for hint in dict.fromkeys(hint for outcome in outcomes for hint in outcome.hints):
        print(f"flowkit: {hint}", file=sys.stderr)
    for notice in found.notices:
        print(f"flowkit: {notice}", file=sys.stderr)
    for form, path in reports:
        if form == _PAGES:
            for notice in write_pages(path, found.items, outcomes):
                print(f"flowkit: {notice}", file=sys.stderr)
        else:
            write_whole(path, _text(form, outcomes), mine=_MARKS[form])
    _in_actions(outcomes)
    return _exit_code(outcomes)


def _collected(args: argparse.Namespace) -> Collected:
    from flowkit.testing.suite import collect

    found = collect(args.paths or ([] if args.corpus else ["."]), env=args.env)
    if args.corpus:
        calls = collect(args.corpus, env=args.env)
        found.items += [item._replace(corpus=True) for item in calls.items]
        found.wrong += calls.wrong
        found.notices += calls.notices
        found.read += calls.read
    return found


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    states = {str(outcome.status) for outcome in outcomes}
    if not outcomes:
        print("flowkit: no tests found", file=sys.stderr)
        return int(ExitCode.NOTHING_COLLECTED)
    if "error" in states:
        return int(ExitCode.USAGE)
    return int(ExitCode.CHECKS_FAILED if "failed" in states else ExitCode.FINE)


# -- on the terminal -----------------------------------------------------------------------------------------------------


class _Progress:
    """Prints the progress: dots for each file, or with `verbose` a line for each test."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._file = ""
        self._column = 0

    def tell(self, outcome: Outcome) -> None:
        """Print the outcome of one more test."""
        if self._verbose:
            print(f"{outcome.place} {outcome.name} ... {outcome.status} ({whole_ms(outcome.wall_us)} ms)", flush=True)
            return
        stored = outcome.file.endswith(".expect.yaml")
        # Each stored trace has a file of its own. With a line for each file, every dot would get a line.
        folder = str(Path(outcome.file).parent) if stored else outcome.file
        if folder != self._file or self._column >= _WIDTH:
            print(("\n" if self._file else "") + f"{folder} ", end="")
            self._file, self._column = folder, len(folder)
        print(_SIGNS[str(outcome.status)], end="", flush=True)
        self._column += 1


def _tell(outcomes: Sequence[Outcome], form: str) -> None:
    from flowkit.report.outcome import Status, counts, summary

    if form == "json":
        told = {"flowkit": 1, "counts": {str(k): v for k, v in counts(outcomes).items()}}
        print(json.dumps({**told, "tests": [outcome.to_json() for outcome in outcomes]}, ensure_ascii=False, indent=1))
        return
    if outcomes:
        print()
    for outcome in outcomes:
        if outcome.status is not Status.PASSED:
            _failure(outcome)
    _corpus(outcomes)
    if outcomes:
        wall_us = sum(outcome.wall_us for outcome in outcomes)
        print(f"\n{summary(outcomes)} ({wall_us / 1e6:.2f} s of work)")


def _corpus(outcomes: Sequence[Outcome]) -> None:
    """Print what has changed in each call of a corpus, good or bad."""
    from flowkit.report.outcome import verdicts

    calls = [outcome for outcome in outcomes if outcome.corpus]
    for outcome in calls:
        if told := ", ".join(f"{count} {verdict}" for verdict, count in verdicts(outcome).items() if count):
            print(f"\n{outcome.name}: {told}", end="")
    print(end="\n" if calls else "")


def _failure(outcome: Outcome) -> None:
    print(f"\n{str(outcome.status).upper()} {outcome.name} ({outcome.place})")
    before = ""
    for finding in outcome.findings:
        told = finding.what.removesuffix(f" (by {finding.cause})")
        # Each setting that has changed has the finding at its line.
        print(f"  {finding.file}:{finding.line}: the same, by {finding.cause}" if told == before else f"  {finding}")
        before = told if finding.cause else ""
    if outcome.changes:
        print("\n".join(f"    {line}" for line in _table(outcome)))
    for notice in outcome.notices:
        print(f"  note: {notice}")
    print(f"  again: {outcome.again}")


def _table(outcome: Outcome) -> list[str]:
    """The changes as lines with columns, one line for each figure."""
    rows = [("turn", "what", "approved", "now", "change")]
    for change in outcome.changes[:_MOST_CHANGES]:
        delta = "" if change.delta_ms is None else f"{change.delta_ms:+g} ms"
        said = (delta + change.marks).removeprefix(", ")
        rows.append((str(change.turn or ""), change.what, change.before, change.now, said))
    widths = [min(48, max(len(row[i]) for row in rows)) for i in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    left = len(outcome.changes) - _MOST_CHANGES
    return [*lines, f"... and {left} more"] if left > 0 else lines


# -- for machines --------------------------------------------------------------------------------------------------------


def _report(text: str) -> tuple[str, Path]:
    form, sign, path = text.partition("=")
    if form not in (*_MARKS, _PAGES) or not sign or not path:
        raise UsageError(f"--report takes junit=FILE, json=FILE, markdown=FILE or pages=FOLDER (got {text!r})")
    return form, Path(path)


def _text(form: str, outcomes: Sequence[Outcome]) -> str:
    from flowkit.report.junit import junit
    from flowkit.report.markdown import markdown

    if form == "json":
        return json.dumps([outcome.to_json() for outcome in outcomes], ensure_ascii=False, indent=1) + "\n"
    return junit(outcomes) if form == "junit" else markdown(outcomes)


def _check_reports(reports: Sequence[tuple[str, Path]], inputs: list[Path]) -> None:
    """Check before any test runs that each report can be written, and that it replaces nothing but an older report."""
    for number, (form, path) in enumerate(reports):
        if form == _PAGES:
            check_folder(path)
            continue
        # The earlier reports count as inputs, because two reports to one file would leave only the second.
        reserve(path, [*inputs, *(other for _, other in reports[:number])], mine=_MARKS[form])


def _in_actions(outcomes: Sequence[Outcome]) -> None:
    """In GitHub Actions, print annotations to stdout, where the runner reads them, and write the job summary."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from flowkit.report.github import commands

        print("\n".join(commands(outcomes)))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(summary), _text("markdown", outcomes))


def _append(path: Path, text: str) -> None:
    """Append `text` to a file that other steps write too, such as GitHub's job summary. Raises OutputError."""
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise cannot_write(path, error) from error
