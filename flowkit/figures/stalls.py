"""What the watchdog told of a session (events ``stall`` and ``starved``), each kind in one line with its count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

STALL, STARVED = "stall", "starved"
_HELD = re.compile(r"(?P<task>.*) held the loop for (?P<us>\d+) us(?:\n(?P<stack>.*))?", re.DOTALL)
_WAITED = re.compile(r"(?P<task>.*) waited (?P<us>\d+) of \d+ us for a core", re.DOTALL)


class _Told(NamedTuple):
    task: str
    us: int
    stack: str


_UNKNOWN = _Told("a task", 0, "")


def held_event(task: str, lasted_us: int, stack: str) -> tuple[str, str]:
    """Name and detail of the event that a task held the loop."""
    return STALL, f"{task} held the loop for {lasted_us} us\n{stack}"


def starved_event(task: str, waited_us: int, lasted_us: int) -> tuple[str, str]:
    """Name and detail of the event that the process had no core."""
    return STARVED, f"{task} waited {waited_us} of {lasted_us} us for a core"


class Stalls:
    """How often the loop was held, and how often others had the cores, each with the worst time."""

    def __init__(self) -> None:
        self.held = self.starved = 0
        self._longest, self._most = _UNKNOWN, _UNKNOWN

    def tell(self, name: str, detail: str) -> None:
        """Take an event into account."""
        if name == STALL:
            self.held += 1
            self._longest = max(self._longest, _told(_HELD, detail), key=_us)
        elif name == STARVED:
            self.starved += 1
            self._most = max(self._most, _told(_WAITED, detail), key=_us)

    def lines(self) -> list[str]:
        """One line for what held the event loop, and one for when others had the cores; none where nothing did."""
        lines = []
        if self.held:
            ms = f"{self._longest.us / 1000:.0f} ms"
            lines.append(f"the event loop was held {_times(self.held)}, for {ms} at most, by {self._longest.task}")
        if self.starved:
            lines.append(
                f"other processes had the cores {_times(self.starved)}, for {self._most.us / 1000:.0f} ms at most; "
                "delays measured meanwhile are this machine's, not the pipeline's"
            )
        return lines


def stall_lines(events: Iterable[tuple[int, str, str]]) -> list[str]:
    """The lines for a whole session."""
    stalls = Stalls()
    for _, name, detail in events:
        stalls.tell(name, detail)
    return stalls.lines()


def stall_details(events: Iterable[tuple[int, str, str]]) -> list[str]:
    """Each task that held the loop, with how often, the longest time and where it was then."""
    by_task: dict[str, list[_Told]] = {}
    for told in (_told(_HELD, detail) for _, name, detail in events if name == STALL):
        by_task.setdefault(told.task, []).append(told)
    details = []
    for task, of_task in by_task.items():
        worst = max(of_task, key=_us)
        details.append(f"{task}: {_times(len(of_task))}, {worst.us / 1000:.0f} ms at most\n{worst.stack}".rstrip())
    return details


def _told(form: re.Pattern[str], detail: str) -> _Told:
    """What an event tells; a redacted one keeps that it was, and nothing else."""
    found = form.fullmatch(detail)
    return _UNKNOWN if found is None else _Told(found["task"], int(found["us"]), found.groupdict().get("stack") or "")


def _us(told: _Told) -> int:
    return told.us


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
