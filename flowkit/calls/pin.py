"""Makes a test of one turn of a recording: the trace up to its end, and what was seen in it as expectations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from flowkit.errors import UsageError
from flowkit.figures.follower import Follower
from flowkit.figures.records import TurnRecord
from flowkit.figures.report import Report, TurnReport
from flowkit.files import write_whole
from flowkit.replay.settings import changed_plan, lost_greeting, recorded_plan
from flowkit.replay.simulate import simulate
from flowkit.testing.suite.expectations import expectations_path
from flowkit.trace.reader import Trace, read_trace
from flowkit.trace.redact import Redactor
from flowkit.trace.rewrite import rewrite, until

_ROUND_US = 50_000
"""A delay is expected to stay below the next multiple of this."""


def turn_at(trace: Trace, at_us: int) -> int:
    """The number of the turn that lasts at session time `at_us`, or the one before it. Where the user speaks into a reply, it is
    the turn of that reply. Raises UsageError if no turn has begun."""
    begun = [turn for turn in _turns_of(trace) if _begin_us(trace, turn) <= at_us]
    if not begun:
        raise UsageError(f"{trace.path.name}: no turn has begun at {at_us / 1e6:g} s")
    last = [turn.number for turn in begun if turn.ended_us is None or turn.ended_us >= at_us]
    return min(last, default=max(turn.number for turn in begun))


def _turns_of(trace: Trace) -> list[TurnRecord]:
    follower = Follower(trace.layout)
    ended = [record for row in trace.journal() for record in follower.row(row)]
    return [record for record in (*ended, *follower.finish()) if isinstance(record, TurnRecord)]


def _begin_us(trace: Trace, turn: TurnRecord) -> int:
    spoken = [speech.begin.frame for speech in turn.replies()[0].speech if speech.begin is not None]
    return min([turn.released_us, *(frame * trace.layout.frame_us for frame in spoken)])


def pin(
    trace: Trace, turn: int, name: str, folder: Path, *, expect: Sequence[str] = (), pipeline: str | None = None
) -> Path:
    """Write ``NAME.jsonl`` with its expectations into `folder`. Returns the trace's path.

    Args:
        trace: the recording.
        turn: the number of the turn.
        name: what the test is called; its file gets a name made of it.
        folder: where traces are kept.
        expect: expectations in YAML, in place of those about what was seen.
        pipeline: the pipeline file to replay with, relative to `folder`.

    Raises:
        UsageError: there is no such turn, or the pipeline cannot replay the recording as it is.
        OutputError: a file exists or cannot be written.
    """
    slug = re.sub(r"[^\w]+", "-", name.casefold()).strip("-") or f"turn-{turn}"
    path = folder / f"{slug}.jsonl"
    if pipeline:
        recorded, named = recorded_plan(trace), os.path.normpath(folder / pipeline)
        # Without the greeting the turn has another number, so the test would fail at once.
        if lost := next(iter(lost_greeting(recorded, changed_plan(trace, recorded, pipeline=named))), ""):
            raise UsageError(lost)
    rewrite(trace, path, Redactor(), part=until(trace, _end_us(trace, turn)))
    report = simulate(read_trace(path)).report
    lines = [yaml.safe_load(one) for one in expect] or list(_seen(report, turn))
    known = {"pipeline": pipeline} if pipeline else {}
    text = f"# {name}\n" + yaml.safe_dump(known, allow_unicode=True) * bool(known) + "expect:\n"
    text += "".join(
        f"  - {yaml.safe_dump(one, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000)}"
        for one in lines
    )
    write_whole(expectations_path(path), text)
    return path


def _end_us(trace: Trace, number: int) -> int:
    ended = {turn.number: turn.ended_us for turn in _turns_of(trace)}
    if (ended_us := ended.get(number)) is None:
        raise UsageError(f"{trace.path.name} has no turn {number}", hint=f"turns: {', '.join(map(str, ended))}")
    return ended_us


def _seen(report: Report, number: int) -> Iterator[dict[str, Any]]:
    turn = next((one for one in report.turns if one.turn == number), None)
    if turn is None:
        raise UsageError(f"turn {number} is not in the replay of the part that was cut out")
    yield from _of_turn(turn)
    interrupted = any(one.turn == number for one in report.interrupts)
    if not interrupted:
        yield {"turn": number, "what": "interrupts", "absent": True}
    yield {"what": "stale_frames", "equals": 0}


def _of_turn(turn: TurnReport) -> Iterator[dict[str, Any]]:
    if turn.user:
        yield {"turn": turn.turn, "what": "user", "equals": turn.user}
    yield {"turn": turn.turn, "what": "end_reason", "equals": turn.end_reason}
    if turn.ttfa_us is None:
        yield {"turn": turn.turn, "what": "ttfa", "absent": True}
    else:
        yield {"turn": turn.turn, "what": "ttfa", "within": f"{-(-turn.ttfa_us // _ROUND_US) * _ROUND_US // 1000}ms"}
