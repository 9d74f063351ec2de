"""What a test may read from the machine: nothing, or with ``--env`` environment variables. ``${file:}`` is never
opened."""

from __future__ import annotations

import os
from pathlib import Path

from flowkit.config import Outside, Unset
from flowkit.config.nodes import Node, Standing, scalars
from flowkit.config.problems import InvalidConfig, Problem
from flowkit.errors import UsageError


def outside(env: bool, unset: Unset = Unset.KEEP) -> Outside:
    """What the values of a pipeline file may refer to in a test."""
    return Outside(environ=os.environ if env else {}, unset=unset, withheld=not env)


def refuse_unread(node: Node, env: bool) -> None:
    """Raises InvalidConfig if a value of `node` is unknown in a test. A default value in its place would test something
    else."""
    problems = [
        Problem("FK020", scalar.mark, path, f"{scalar.text} has no value in a test: {_WHY[env]}")
        for path, scalar in scalars(node)
        if scalar.standing is Standing.UNREAD
    ]
    if problems:
        raise InvalidConfig(problems)


def within(file: Path, named: str, root: str, *suffixes: str) -> Path:
    """The path of the file `named` in the test file `file`, relative to the folder of `file`.

    Tests may come from other people, so the path must lead into `root`, the folder that the user asked to test (default:
    the folder of `file`). If `file` is in the current folder, the path may lead there too, unless the current folder is
    ``/`` or the home folder.

    Raises UsageError if the path leads out of these folders, or does not have one of `suffixes`.
    """
    path = Path(os.path.normpath(file.parent / named))
    if path.suffix not in suffixes:
        raise UsageError(f"{file} names {named!r}, which is not a {' or '.join(suffixes)} file")
    own, here = file.resolve().parent, Path.cwd()
    roots = [Path(root).resolve() if root else own]
    if own.is_relative_to(here) and here not in (Path("/"), Path.home()):
        roots.append(here)
    if not any(path.resolve().is_relative_to(folder) for folder in roots):
        hint = "name the folder that holds both, or run flowkit test in it"
        raise UsageError(f"{file} names {named!r}, which leads out of {roots[0]}", hint=hint)
    return path


_WHY = {
    True: "the variable is not set, and ${file:} is never opened in a test",
    False: "tests get no environment variables; run flowkit test --env",
}
