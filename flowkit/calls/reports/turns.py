"""Turns as JSON: what ``flowkit import --turns`` and ``flowkit trace export --turns`` write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowkit.calls.call import CallLine, ImportedCall
from flowkit.calls.reports.report import CallReport
from flowkit.errors import InputError


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """A line of a call, as JSON has it."""

    who: str
    text: str
    start_ms: float
    end_ms: float


def turns_json(call: ImportedCall) -> str:
    """Who said what, when, as JSON: a list of lines with `who`, `text`, `start_ms` and `end_ms`."""
    lines = [
        SpokenLine(who, one.text, one.begin_us / 1000, one.end_us / 1000)
        for who, side in (("user", call.user), ("agent", call.agent))
        for one in side
    ]
    return json.dumps([asdict(line) for line in sorted(lines, key=lambda line: line.start_ms)], indent=1) + "\n"


def read_turns(path: Path, found: Sequence[Mapping[str, Any]]) -> CallReport:
    """The call of these lines. Raises InputError if one lacks its side or its times."""
    lines = list(_lines(path, found))
    user, agent = (tuple(speech for who, speech in lines if who == side) for side in ("user", "agent"))
    return CallReport(int(path.stat().st_mtime * 1e6), 0, user, agent)


def _lines(path: Path, found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, CallLine]]:
    for number, one in enumerate(found, 1):
        times = one.get("start_ms"), one.get("end_ms")
        if one["who"] not in ("user", "agent") or not all(
            isinstance(ms, int | float) and 0 <= ms < 1e9 for ms in times
        ):
            raise InputError(f"{path}: entry {number} has no `who` (user or agent), `start_ms` and `end_ms`")
        begin_us, end_us = (round(ms * 1000) for ms in times if ms is not None)
        yield one["who"], CallLine(begin_us, end_us, str(one.get("text", "")))
