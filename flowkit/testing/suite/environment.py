"""What tests may know of the machine that they run on: nothing, or with ``--env`` its variables. No ``${file:}`` is ever opened."""

from __future__ import annotations

import os
from pathlib import Path

from flowkit.config import Outside, Unset
from flowkit.config.nodes import Node, Standing, scalars
from flowkit.config.problems import InvalidConfig, Problem
from flowkit.errors import UsageError


def outside(env: bool, unset: Unset = Unset.KEEP) -> Outside:
    """What a pipeline's values may refer to in a test."""
    return Outside(environ=os.environ if env else {}, unset=unset, withheld=not env)


def refuse_unread(node: Node, env: bool) -> None:
    """Raises InvalidConfig for a value that a test would need and does not know; the default in its place would be another test."""
    problems = [
        Problem("FK020", scalar.mark, path, f"{scalar.text} has no value in a test: {_WHY[env]}")
        for path, scalar in scalars(node)
        if scalar.standing is Standing.UNREAD
    ]
    if problems:
        raise InvalidConfig(problems)


def within(file: Path, named: str, root: str, *suffixes: str) -> Path:
    """The path that a test's `file` names, from its own folder. Somebody else's tests are data: none may lead out of `root`, the
    folder that was to be tested (its own, if none is given), or, where the file lies in the current folder, out of that one,
    unless that is the root or one's home.

    Raises UsageError."""
    path = Path(os.path.normpath(file.parent / named))
    if path.suffix not in suffixes:
        raise UsageError(f"{file} names {named!r}, which is no {' or '.join(suffixes)} file")
    own, here = file.resolve().parent, Path.cwd()
    roots = [Path(root).resolve() if root else own]
    if own.is_relative_to(here) and here not in (Path("/"), Path.home()):
        roots.append(here)
    if not any(path.resolve().is_relative_to(folder) for folder in roots):
        hint = "name the folder that holds both, or run flowkit test in it"
        raise UsageError(f"{file} names {named!r}, which leads out of {roots[0]}", hint=hint)
    return path


_WHY = {
    True: "the variable is not set, and ${file:} is never opened here",
    False: "tests are handed no variables; flowkit test --env does so",
}
