"""What leaves a trace for other tools: both sides as sound, who said what when, and subtitles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowkit.clock import ms
from flowkit.engine import Row
from flowkit.errors import TraceError
from flowkit.figures.follower import Follower
from flowkit.figures.metrics import measure
from flowkit.figures.records import TurnRecord
from flowkit.figures.report import Report
from flowkit.figures.sounded import sounded
from flowkit.providers.sound.timeline import Pop
from flowkit.report.sides import RATE_HZ, sides
from flowkit.trace.audio import read_sound
from flowkit.trace.reader import Trace


class ExportedLine(NamedTuple):
    """What one side says, with the figures of its turn. Times count from the begin of the session."""

    who: str
    text: str
    begin_us: int
    end_us: int
    turn: int
    figures: Mapping[str, Any] = {}
    """For the agent: `ttfa_ms`, `parts_ms`, `end_reason`; if the user interrupts, `interrupted_ms`: when, and `yield_ms`: how long
    after that the agent was silent."""

    def to_json(self) -> dict[str, Any]:
        """The line as ``flowkit import`` reads it."""
        times = {"start_ms": ms(self.begin_us), "end_ms": ms(self.end_us)}
        return {"who": self.who, "text": self.text, **times, "turn": self.turn, **self.figures}


def stereo_of(trace: Trace) -> NDArray[np.int16]:
    """Both sides of a session on one time axis: int16, shape (samples, 2), user left and agent right, at `sides.RATE_HZ`.

    The agent is what the device played, sample by sample. Raises TraceError if the trace has no sound.
    """
    recorded = {sound.role: (sound, read_sound(trace.path, sound)) for sound in (trace.end.sounds if trace.end else ())}
    if "input" not in recorded:
        raise TraceError(f"{trace.path.name} holds no sound of the user", hint="record with sound: trace.audio")
    rows = trace.rows()
    voices = {sound.rate_hz: samples for role, (sound, samples) in recorded.items() if role != "input"}
    _, user = recorded["input"]
    last_us = max((row.handled_us for row in rows[-1:]), default=0)
    lasts_us = max(last_us, len(user) * 1_000_000 // trace.head.rate_hz)
    both = sides(
        sounded(rows, trace.layout, voices),
        length_us=lasts_us,
        user=user,
        rate_hz=trace.head.rate_hz,
        levels=trace.levels,
        frame_us=trace.layout.frame_us,
    ).sound
    if both is None:
        raise TraceError(f"{trace.path.name} holds no sound of the agent", hint="record with sound: trace.audio")
    return both


def lines_of(trace: Trace) -> list[ExportedLine]:
    """Who said what, when, in the order in which it begins. Of a reply, only what was heard."""
    rows = trace.rows()
    report = measure(rows, plan=trace.layout, voiced=trace.reference)
    sounding = _sounding(rows, trace)
    found = [line for turn in _turns(rows, trace) for line in _of_turn(turn, trace, report, sounding)]
    return sorted(found, key=lambda line: line.begin_us)


def _turns(rows: list[Row], trace: Trace) -> list[TurnRecord]:
    follower = Follower(trace.layout)
    ended = [record for row in rows for record in follower.row(row)]
    return [record for record in (*ended, *follower.finish()) if isinstance(record, TurnRecord)]


def _sounding(rows: list[Row], trace: Trace) -> dict[int, tuple[int, int]]:
    """When each reply begins and ends to sound, by epoch."""
    found: dict[int, tuple[int, int]] = {}
    for pop in sounded(rows, trace.layout):
        begin_us, _ = found.get(pop.epoch, (pop.t_us, 0))
        found[pop.epoch] = begin_us, _end_us(pop)
    return found


def _end_us(pop: Pop) -> int:
    return pop.t_us + pop.samples * 1_000_000 // pop.rate_hz


def _of_turn(
    turn: TurnRecord, trace: Trace, report: Report, sounding: Mapping[int, tuple[int, int]]
) -> Iterator[ExportedLine]:
    figures = next(one for one in report.turns if one.turn == turn.number)
    if (spoken := _speech(turn, trace)) is not None:
        yield ExportedLine("user", figures.user, *spoken, turn.number)
    parts = figures.to_json()
    told = {name: parts[name] for name in ("ttfa_ms", "parts_ms", "end_reason")}
    for at_us, after_us in _yields(turn, report):
        told |= {"interrupted_ms": ms(at_us), "yield_ms": ms(after_us)}
    heard = [reply for reply in turn.replies() if reply.epoch in sounding]
    for number, reply in enumerate(heard):
        text = "".join(reply.heard).strip()
        yield ExportedLine("agent", text, *sounding[reply.epoch], turn.number, told if number == 0 else {})


def _yields(turn: TurnRecord, report: Report) -> Iterator[tuple[int, int]]:
    """When the user began to speak into a reply that sounded, and how long after that the agent was silent."""
    told = [one for one in report.interrupts if one.turn == turn.number]
    records = [reply.interrupt for reply in turn.replies() if reply.interrupt is not None]
    for one, record in zip(told, records, strict=False):
        if one.speech_to_silence_us is not None:
            silent_us = record.silent_us if record.popped_us is None else record.popped_us
            yield silent_us - one.speech_to_silence_us, one.speech_to_silence_us


def _speech(turn: TurnRecord, trace: Trace) -> tuple[int, int] | None:
    """When the user speaks the text of a turn; None if nobody asked."""
    frame_us, reference = trace.layout.frame_us, trace.reference
    if not turn.spoken:
        return None
    first, last = turn.spoken[0][0], turn.spoken[-1][1]
    if reference is not None:
        onset, voiced = reference.onset(first), reference.last_voiced(first, last + 1)
        first, last = first if onset is None else onset, last if voiced is None else voiced
    return first * frame_us, (last + 1) * frame_us


def lines_json(lines: list[ExportedLine]) -> str:
    """The lines as a JSON list. ``flowkit import`` reads it."""
    return json.dumps([line.to_json() for line in lines], ensure_ascii=False, indent=1) + "\n"


def subtitles(lines: list[ExportedLine]) -> str:
    """The lines as WebVTT, with a voice for each side. https://www.w3.org/TR/webvtt1/"""
    cues = (
        f"{_clock(line.begin_us)} --> {_clock(max(line.end_us, line.begin_us + 1000))}\n<v {line.who}>{_escaped(line.text)}\n"
        for line in lines
        if line.text
    )
    return "WEBVTT\n\n" + "\n".join(cues)


def _clock(us: int) -> str:
    seconds, millis = divmod(us // 1000, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millis:03}"


def _escaped(text: str) -> str:
    # An empty line would end the cue.
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def write_stereo(trace: Trace, path: Path) -> None:
    """Write both sides to a new WAV file. Raises OutputError or TraceError."""
    import soundfile

    from flowkit.errors import OutputError
    from flowkit.files import create

    sound = stereo_of(trace)
    try:
        with soundfile.SoundFile(create(path), "w", RATE_HZ, 2, subtype="PCM_16", format="WAV") as file:
            file.write(sound)
    except (soundfile.LibsndfileError, AssertionError) as error:
        path.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error or 'is the disk full?'}") from error
