"""The device's own word on when sound began and ended, put in place of what playback planned.

Playback works on a grid of its own and a device pops by its own clock: up to a frame later, or more where something was
slow. A speaker that is a device tells of the first block of each run and of the silence behind it (events ``speaker
began`` and ``speaker ended``); TTFA then counts to the block that was popped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from flowkit.engine import Row
from flowkit.figures.report import InterruptReport, Report, TurnReport
from flowkit.messages import Hold, Interrupt, Resume, Utterance

Event = tuple[int, str, str]
"""Time on the session's clock in microseconds, name, detail."""

BEGAN, ENDED = "speaker began", "speaker ended"
_AT_ONCE_US = 500_000
_PART = re.compile(r"(\w+)=(-?\d+)")


def with_pops(report: Report, rows: Iterable[Row], events: Sequence[Event]) -> Report:
    """`report` with the device's own times; as it is, where no device told any."""
    late_us = _lateness(events)
    if not late_us:
        return report
    kept = list(rows)
    epochs = {row.turn: row.epoch for row in kept if type(row.message) is Utterance}
    turns = tuple(_later(turn, late_us.get(epochs.get(turn.turn, -1), 0)) for turn in report.turns)
    decided_us = _decisions(kept)
    ended_us = [at_us for at_us, name, _ in events if name == ENDED]
    interrupts = tuple(_until(told, decided_us.get(told.t_us), ended_us) for told in report.interrupts)
    return replace(report, turns=turns, interrupts=interrupts)


def _lateness(events: Sequence[Event]) -> dict[int, int]:
    """By epoch, how much later than planned its first block was popped."""
    late_us: dict[int, int] = {}
    for _, name, detail in events:
        if name == BEGAN:
            parts = {key: int(value) for key, value in _PART.findall(detail)}
            late_us.setdefault(parts["epoch"], parts["late_us"])
    return late_us


def _later(turn: TurnReport, late_us: int) -> TurnReport:
    if turn.parts_us is None or turn.ttfa_us is None:
        return turn
    late_us = max(late_us, -turn.parts_us[-1])
    parts_us = (*turn.parts_us[:-1], turn.parts_us[-1] + late_us)
    return replace(turn, parts_us=parts_us, ttfa_us=turn.ttfa_us + late_us)


def _decisions(rows: Iterable[Row]) -> dict[int, int]:
    """By an interrupt's own time, when the row was sent that silenced playback: the hold before it, or itself."""
    decided_us: dict[int, int] = {}
    held_us: int | None = None
    for row in rows:
        if type(row.message) is Hold:
            held_us = row.sent_us
        elif type(row.message) is Resume:
            held_us = None
        elif type(row.message) is Interrupt and row.sent_us not in decided_us:
            decided_us[row.sent_us], held_us = row.sent_us if held_us is None else held_us, None
    return decided_us


def _until(told: InterruptReport, decided_us: int | None, ended_us: Sequence[int]) -> InterruptReport:
    """The first silence of the device behind the decision, if one followed at once; else nothing had sounded."""
    if decided_us is None:
        return told
    silent_us = next((at_us for at_us in ended_us if 0 <= at_us - decided_us <= _AT_ONCE_US), None)
    if silent_us is None:
        return told
    late_us = silent_us - decided_us - told.decision_to_silence_us
    spoken_us = told.speech_to_silence_us
    return replace(
        told,
        decision_to_silence_us=silent_us - decided_us,
        speech_to_silence_us=None if spoken_us is None else spoken_us + late_us,
    )
