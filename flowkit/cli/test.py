"""``flowkit test``: the tests that pipeline files carry along. First version: chunker cases."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from flowkit.config import Config
    from flowkit.testing.cases import CaseResult


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "test",
        description="Run the tests of pipeline files. Exit code 0: all passed, 1: some failed, 2: a file is wrong, "
        "5: no tests were found.",
    )
    parser.add_argument("paths", nargs="*", default=["."], metavar="PATH", help="files, or folders to search (default: .)")


def run(args: argparse.Namespace) -> int:
    """Run every test found, print a line each and the difference of those that fail."""
    passed = failed = 0
    for path in _files(args.paths):
        for place, result in _results(path):
            if result.passed:
                passed += 1
                print(f"{place}: {result.name} ... ok")
                continue
            failed += 1
            print(f"{place}: {result.name} ... FAILED")
            print("\n".join(f"    {line}" for line in result.diff()))
            print(f"    again: flowkit test {path}")
    if not passed + failed:
        print("flowkit: no tests found", file=sys.stderr)
        return int(ExitCode.NOTHING_COLLECTED)
    print(f"{passed} passed, {failed} failed")
    return int(ExitCode.CHECKS_FAILED if failed else ExitCode.FINE)


def _files(paths: list[str]) -> Iterator[Path]:
    """Named files as they are; of folders, every YAML file below that is a pipeline. Raises UsageError for what is not there."""
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"there is no {path}")
        if path.is_file():
            yield path
        else:
            found = sorted(p for p in path.rglob("*.yaml") if not any(part.startswith(".") for part in p.parts))
            yield from (p for p in found if b"flowkit:" in p.read_bytes()[:4096])


def _results(path: Path) -> Iterator[tuple[str, CaseResult]]:
    """Each test of a file with its place. Raises ConfigError if the file is wrong or has tests for what it lacks."""
    from flowkit.chunker import Rules
    from flowkit.config import Outside, Unset, read
    from flowkit.config.problems import InvalidConfig, errors
    from flowkit.testing.cases import chunker_case

    reading = read(path, outside=Outside(environ=os.environ, unset=Unset.KEEP))
    if found := errors(reading.problems):
        raise InvalidConfig(found)
    config = reading.config
    stage = next((stage for stage in config.stages if stage.kind == "chunker"), None)
    rules = stage.options.rules() if stage is not None and hasattr(stage.options, "rules") else Rules()
    for index, case in enumerate(config.top.tests):
        yield _place(config, path, index), chunker_case(case.name, case.chunker.feed, case.chunker.expect, rules)


def _place(config: Config, path: Path, index: int) -> str:
    tests: Any = config.root.get("tests")
    return f"{path}:{tests.items[index].mark.line}"
