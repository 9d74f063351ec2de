"""Jobs for the tests. They are in a module of their own, because workers import it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.config.problems import InvalidConfig, Problem
from flowkit.config.text import NamedText, start_of
from flowkit.errors import TraceError


class Odd(Exception):
    """It can be pickled and not read again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Deed(NamedTuple):
    """What a job does: `what`, with a folder in which it can remember things."""

    what: str
    folder: str = ""

    def __str__(self) -> str:
        return f"job {self.what}"


def until(error: type[Exception], results: Iterator[Any]) -> tuple[list[Any], Exception]:
    """What comes before an error, and the error."""
    known = []
    try:
        for result in results:
            known.append(result)
    except error as raised:
        return known, raised
    raise AssertionError(f"no {error.__name__}")


def do(deed: Deed) -> Any:
    what, folder = deed
    if what == "dies once":
        try:
            Path(folder, "died").mkdir()
        except FileExistsError:
            return what, os.getcwd()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leaves":
        os._exit(7)
    if what == "fails":
        raise TraceError("cannot be read", hint="record it again")
    if what == "invalid":
        raise InvalidConfig([Problem("FK011", start_of(NamedText("p.yaml", "x: 1\n")), (), "no mapping", "1")])
    if what == "is odd":
        raise Odd("it", "fails")
    if what == "is no result":
        return lambda: None
    return what, os.getcwd()


def pid(_: object) -> int:
    return os.getpid()


def waits(deed: Deed) -> int:
    """Says that it has begun, and never ends."""
    Path(deed.folder, deed.what).write_text(str(os.getpid()))
    signal.pause()
    return 0
