"""Finds tests: the ``tests:`` of pipeline files, and stored traces with expectations."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.config import Config, read
from flowkit.config.discover import SUFFIXES as PIPELINES
from flowkit.config.discover import is_pipeline
from flowkit.config.problems import Problem, errors
from flowkit.config.schema import TraceOptions
from flowkit.errors import UsageError
from flowkit.files import sounds_beside
from flowkit.report.outcome import Finding, Outcome, Status
from flowkit.testing.suite.environment import outside
from flowkit.testing.suite.expectations import SUFFIX, expectations_path, trace_path

_MANY = 5
"""If a folder has more unused recordings than this, one notice is given for all of them."""

_LIVE = Path(TraceOptions().dir)
"""Where sessions are recorded. It is not for tests: a project does not commit it, and old recordings may be removed."""


class ItemKind(StrEnum):
    """What a test runs."""

    CHUNKER = "chunker"
    SESSION = "session"
    STORED = "stored"


class Item(NamedTuple):
    """One test. It is small, because it is sent to a worker process.

    `line` is its line in the file `path`, and `number` its index among the tests of that file.
    """

    kind: ItemKind
    path: str
    name: str
    line: int
    number: int = 0
    env: bool = False
    """Whether its pipeline may use environment variables."""
    root: str = ""
    """The folder that the user asked to test."""
    corpus: bool = False
    """Whether it is one call of many, of which only what is worse fails."""

    @property
    def id(self) -> str:
        """The name for users: the path of a trace, or ``FILE::NAME``."""
        return self.path if self.kind is ItemKind.STORED else f"{self.path}::{self.name}"

    def files(self) -> list[Path]:
        """The files that the test reads, as far as they are known before it runs."""
        path = Path(self.path)
        return [path, expectations_path(path), *sounds_beside(path)] if self.kind is ItemKind.STORED else [path]


@dataclass
class Collected:
    """The collected tests.

    `items` are the tests, in order. `wrong` are errors, such as an invalid pipeline file. `notices` are lines for the
    user, such as recordings that no test uses. `read` are all files that were read, and all recordings that a test
    uses.
    """

    items: list[Item] = field(default_factory=list)
    wrong: list[Outcome] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    read: list[Path] = field(default_factory=list)


def collect(paths: Sequence[str], *, env: bool = False) -> Collected:
    """Collect the tests in files and folders, in the order of `paths`, each once. ``FILE::NAME`` is one test of a
    pipeline file.

    With `env`, pipeline files may use environment variables. Raises UsageError if a path does not exist.
    """
    found = Collected()
    seen: set[Path] = set()
    used: set[Path] = set()
    for given in paths:
        name, _, only = given.partition("::")
        root = Path(name) if Path(name).is_dir() else Path(name).resolve().parent
        for path in _files(Path(name), found):
            # Several tests of one file may be named.
            if path in seen and not only:
                continue
            seen.add(path)
            if not path.resolve().is_relative_to(root.resolve()):
                found.notices.append(f"{path}: a link that leads out of {root}; it was left out")
                continue
            _add(found, path, Asked(only, env, str(root)), used)
    _unused(found, seen, used)
    found.read = sorted(seen | used)
    return found


def _files(path: Path, found: Collected) -> Iterator[Path]:
    """A file itself; for a folder, all files below it that may contain tests, except in hidden folders and in installed
    packages."""
    if not path.exists():
        raise UsageError(f"there is no {path}")
    if not path.is_dir():
        # Expectations stand for their trace, so that the test is found only once.
        if path.name.endswith(SUFFIX) and trace_path(path).exists():
            path = trace_path(path)
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=lambda error: found.wrong.append(_unread(error))):
        # In place, because os.walk follows this list. Sorted, so that the order does not depend on the file system.
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "site-packages")
        for name in sorted(names):
            if (name.endswith(".jsonl") or name.lower().endswith(PIPELINES)) and _may_hold_tests(
                Path(folder) / name, found
            ):
                yield Path(folder) / name


def _may_hold_tests(file: Path, found: Collected) -> bool:
    """Whether a file may contain tests. Broken links and special files, such as pipes, are skipped with a notice."""
    if not file.is_file():
        left = "a link that leads nowhere" if file.is_symlink() else "not a file"
        found.notices.append(f"{file}: {left}; it was left out")
        return False
    return file.name.endswith((".jsonl", SUFFIX)) or is_pipeline(file)


def _unread(error: OSError) -> Outcome:
    return _wrong(Path(error.filename), 1, Path(error.filename).name, f"cannot be read: {error.strerror}")


class Asked(NamedTuple):
    """Which tests of a file to collect: the one called `only`, or all. For `env` and `root` see `Item`."""

    only: str
    env: bool
    root: str


def _add(found: Collected, path: Path, asked: Asked, used: set[Path]) -> None:
    if path.name.endswith(SUFFIX):
        if not trace_path(path).exists():
            found.wrong.append(_wrong(path, 1, path.name, f"there is no trace {trace_path(path).name} beside it"))
    elif path.suffix == ".jsonl":
        if expectations_path(path).exists():
            used.add(path.resolve())
            found.items.append(Item(ItemKind.STORED, str(path), path.name.removesuffix(".jsonl"), 1, root=asked.root))
    else:
        _of_pipeline(found, path, asked, used)


def _of_pipeline(found: Collected, path: Path, asked: Asked, used: set[Path]) -> None:
    only = asked.only
    reading = read(path, outside=outside(asked.env))
    if problems := errors(reading.problems):
        found.wrong += [_problem(path, problem) for problem in problems]
        return
    cases = reading.config.top.tests
    many = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    for number, case in enumerate(cases):
        line = line_of(reading.config, number)
        if case.trace:
            used.add((path.parent / case.trace).resolve())
        if case.name in many:
            found.wrong.append(_wrong(path, line, case.name, f"two tests have the name {case.name!r}"))
        elif not only or case.name == only:
            kind = ItemKind.CHUNKER if case.chunker is not None else ItemKind.SESSION
            found.items.append(Item(kind, str(path), case.name, line, number, asked.env, asked.root))
    if only and only not in [case.name for case in cases]:
        raise UsageError(
            f"{path} has no test {only!r}", hint=f"tests: {', '.join(case.name for case in cases) or 'none'}"
        )


def line_of(config: Config, index: int) -> int:
    """The line of test number `index` of a pipeline file."""
    tests: Any = config.root.get("tests")
    return int(tests.items[index].mark.line)


def _unused(found: Collected, seen: set[Path], used: set[Path]) -> None:
    loose: dict[Path, list[Path]] = {}
    for path in sorted(seen):
        if path.suffix == ".jsonl" and path.resolve() not in used:
            loose.setdefault(path.parent, []).append(path)
    for folder, paths in loose.items():
        if folder.parts[-len(_LIVE.parts) :] == _LIVE.parts:
            many, one = (f"{len(paths)} recordings", "one") if len(paths) > 1 else ("1 recording", "it")
            found.notices.append(f"{many} in {folder}: move {one} to {folder.parent} and approve it there")
        elif len(paths) > _MANY:
            found.notices.append(f"{folder}: no test uses the {len(paths)} recordings there")
        else:
            found.notices += [
                f"{p}: no test uses this recording; `flowkit approve {p}` would make it one" for p in paths
            ]


def _wrong(path: Path, line: int, name: str, what: str) -> Outcome:
    finding = Finding(what, str(path), line)
    return Outcome(name, str(path), line, Status.ERROR, (finding,), again=f"flowkit test {path}")


def _problem(path: Path, problem: Problem) -> Outcome:
    mark = problem.mark
    finding = Finding(f"{problem.message} [{problem.code}]", mark.source.name, mark.line, mark.column)
    return Outcome(path.name, str(path), mark.line, Status.ERROR, (finding,), again=f"flowkit check {path}")
