"""Summarises the watchdog's events: the event loop was held (``stall``), or the process got no core (``starved``)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from flowkit.clock import whole_ms
from flowkit.plural import counted

STALL, STARVED = "stall", "starved"
_HELD = re.compile(r"(?P<task>.*) held the loop for (?P<us>\d+) us(?:\n(?P<stack>.*))?", re.DOTALL)
_WAITED = re.compile(r"(?P<task>.*) waited (?P<us>\d+) of \d+ us for a core", re.DOTALL)


class _Stall(NamedTuple):
    task: str
    us: int
    stack: str


_UNKNOWN = _Stall("a task", 0, "")


def held_event(task: str, lasted_us: int, stack: str) -> tuple[str, str]:
    """Name and detail of the event that `task` held the event loop."""
    return STALL, f"{task} held the loop for {lasted_us} us\n{stack}"


def starved_event(task: str, waited_us: int, lasted_us: int) -> tuple[str, str]:
    """Name and detail of the event that the process had to wait for a core."""
    return STARVED, f"{task} waited {waited_us} of {lasted_us} us for a core"


class Stalls:
    """Counts events of either kind and keeps the worst of each."""

    def __init__(self) -> None:
        self.held = self.starved = 0
        self._longest, self._most = _UNKNOWN, _UNKNOWN

    def add(self, name: str, detail: str) -> None:
        """Count an event, if it is one of the watchdog's."""
        if name == STALL:
            self.held += 1
            self._longest = max(self._longest, _parsed(_HELD, detail), key=_us)
        elif name == STARVED:
            self.starved += 1
            self._most = max(self._most, _parsed(_WAITED, detail), key=_us)

    def lines(self) -> list[str]:
        """One line for each kind of event that occurred."""
        lines = []
        if self.held:
            ms = f"{whole_ms(self._longest.us)} ms"
            lines.append(f"the event loop was held {_times(self.held)}, for {ms} at most, by {self._longest.task}")
        if self.starved:
            lines.append(
                f"other processes had the cores {_times(self.starved)}, for {whole_ms(self._most.us)} ms at most; "
                "delays measured meanwhile are this machine's, not the pipeline's"
            )
        return lines


def stall_lines(events: Iterable[tuple[int, str, str]]) -> list[str]:
    """The lines for all events of a session."""
    stalls = Stalls()
    for _, name, detail in events:
        stalls.add(name, detail)
    return stalls.lines()


def stall_details(events: Iterable[tuple[int, str, str]]) -> list[str]:
    """For each task that held the event loop: how often, for how long at most, and the stack at that time."""
    by_task: dict[str, list[_Stall]] = {}
    for stall in (_parsed(_HELD, detail) for _, name, detail in events if name == STALL):
        by_task.setdefault(stall.task, []).append(stall)
    details = []
    for task, of_task in by_task.items():
        worst = max(of_task, key=_us)
        details.append(f"{task}: {_times(len(of_task))}, {whole_ms(worst.us)} ms at most\n{worst.stack}".rstrip())
    return details


def _parsed(form: re.Pattern[str], detail: str) -> _Stall:
    """What an event says. A redacted event only says that it happened."""
    found = form.fullmatch(detail)
    return _UNKNOWN if found is None else _Stall(found["task"], int(found["us"]), found.groupdict().get("stack") or "")


def _us(stall: _Stall) -> int:
    return stall.us


def _times(count: int) -> str:
    return "once" if count == 1 else counted(count, "time")
