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


def stall_lines(events: Iterable[tuple[int, str, str]]) -> list[str]:
    """One line for what held the event loop, and one for when others had the cores; none where nothing did."""
    events = list(events)
    held, starved = _told(events, STALL, _HELD), _told(events, STARVED, _WAITED)
    lines = []
    if held:
        worst = max(held, key=lambda told: told.us)
        lines.append(f"the event loop was held {_times(held)}, for {worst.us / 1000:.0f} ms at most, by {worst.task}")
    if starved:
        most_ms = max(told.us for told in starved) / 1000
        lines.append(
            f"other processes had the cores {_times(starved)}, for {most_ms:.0f} ms at most; "
            "delays measured meanwhile are this machine's, not the pipeline's"
        )
    return lines


def stall_details(events: Iterable[tuple[int, str, str]]) -> list[str]:
    """Each task that held the loop, with how often, the longest time and where it was then."""
    by_task: dict[str, list[_Told]] = {}
    for told in _told(events, STALL, _HELD):
        by_task.setdefault(told.task, []).append(told)
    details = []
    for task, of_task in by_task.items():
        worst = max(of_task, key=lambda told: told.us)
        details.append(f"{task}: {_times(of_task)}, {worst.us / 1000:.0f} ms at most\n{worst.stack}".rstrip())
    return details


def _told(events: Iterable[tuple[int, str, str]], name: str, form: re.Pattern[str]) -> list[_Told]:
    """Those of that name; a redacted one keeps that it was, and nothing else."""
    matches = [form.fullmatch(detail) for _, of, detail in events if of == name]
    return [_Told(m["task"], int(m["us"]), m.groupdict().get("stack") or "") if m else _UNKNOWN for m in matches]


def _times(of: list[_Told]) -> str:
    return "once" if len(of) == 1 else f"{len(of)} times"
