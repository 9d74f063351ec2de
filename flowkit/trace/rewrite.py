"""Writes a trace again: repaired after a crash, or with content masked. The original does not change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.config import RunMode
from flowkit.engine import Row
from flowkit.errors import OutputError, TraceError
from flowkit.files import sounds_beside
from flowkit.messages import Audio
from flowkit.trace import names
from flowkit.trace.audio import HEADER, RawSound, check_sound, read_sound, sound_digest, sound_path, to_flac
from flowkit.trace.journal import JournalWriter
from flowkit.trace.reader import SessionEnd, SessionEvent, Trace
from flowkit.trace.redact import Redactor
from flowkit.trace.schema import Sound
from flowkit.trace.tape import json_text
from flowkit.trace.writer import ROOT, SpanWriter, open_new


class Part(NamedTuple):
    """What is written of a trace: some rows and levels. `sound`: whether its sound begins with theirs, so that it can be cut."""

    rows: Sequence[Row]
    levels: bytes
    frames: int
    """How many frames of sound."""
    sound: bool = True

    def events(self, trace: Trace) -> list[SessionEvent]:
        """The events up to the last row."""
        last_us = self.rows[-1].handled_us if self.rows else 0
        return [event for event in trace.events if event.at_us <= last_us]

    def samples(self, sound: Sound, trace: Trace) -> int:
        """How many samples of a recorded sound belong to it."""
        if sound.role == "input":
            return self.frames * sound.rate_hz * trace.layout.frame_us // 1_000_000
        voice = trace.layout.only("tts")
        audio = (row.message for row in self.rows if row.call and row.stage == voice)
        return sum(one.samples for one in audio if isinstance(one, Audio) and one.rate_hz == sound.rate_hz)


def until(trace: Trace, at_us: int) -> Part:
    """What happened up to session time `at_us`."""
    rows = [row for row in trace.journal() if row.handled_us <= at_us]
    frames = at_us // trace.layout.frame_us
    # The reference detector looks ahead: with fewer levels it might find another end of the user's voice.
    return Part(rows, trace.levels[: frames + _LOOKS_AHEAD], frames)


_LOOKS_AHEAD = 550
"""Frames after a moment that the reference detector needs, to say what was voiced before it."""


def repair(trace: Trace, out: Path) -> Trace | None:
    """Write the intact part of a trace to `out`, with an end, and its sound as FLAC.

    Returns None, and writes nothing, if the trace needs no repair; else `trace`.
    """
    if trace.end is not None and not trace.notices:
        return None
    rewrite(trace, out, Redactor())
    return trace


def redact(trace: Trace, out: Path, keep: Iterable[str]) -> None:
    """Write a trace to `out` with all content masked whose class `keep` does not name.

    A class that the trace has lost already cannot be kept. Sound is copied only if ``audio`` is kept.
    """
    kept = set(keep)
    if trace.head.kept is not None:
        kept &= trace.head.kept  # the other classes are masked already
    rewrite(trace, out, Redactor(kept))


def rewrite(trace: Trace, out: Path, redactor: Redactor, *, part: Part | None = None) -> None:
    """Write a trace to `out` with what `redactor` masks. With `part`, only that.

    Raises OutputError if `out` exists or cannot be written. After any failure no file is left behind.
    """
    writer = SpanWriter(open_new(out), trace.head.session_id, trace.head.base_us, redactor.scrub)
    try:
        _write(writer, trace, out, redactor, part)
        writer.close()
    except BaseException:
        with suppress(OutputError):
            writer.close()
        # A file left behind would block the next attempt. All of these are new: `open_new` found none of this name.
        for path in (out, *sounds_beside(out)):
            path.unlink(missing_ok=True)
        raise


def _write(writer: SpanWriter, trace: Trace, out: Path, redactor: Redactor, part: Part | None) -> None:
    writer.span(names.START, 0, 0, _head(trace, redactor))
    events = trace.events if part is None else part.events(trace)
    for event in events:
        attributes = {
            names.EVENT_NAME: redactor.event_name(event.name),
            names.EVENT_DETAIL: redactor.text(event.detail, "events"),
        }
        writer.span(names.EVENT, event.at_us, event.at_us, attributes)
    journal = JournalWriter(trace.layout)
    journal.levels(0, trace.levels if part is None else part.levels)
    journal.write(writer, redactor.rows(trace.rows() if part is None else list(part.rows)))
    journal.finish(writer)
    sounds = _sounds(trace, out, part) if redactor.keeps("audio") else []
    end = (trace.end if part is None else None) or SessionEnd(names.CUT_OFF, "", 0, (), ())
    reason = redactor.reason(end.reason)
    end_attributes = {
        names.REASON: reason,
        names.DIGEST: journal.digest(),
        names.ROWS: journal.rows,
        names.QUEUES: json_text([list(_plain(queue)) for queue in end.queues]),
        names.AUDIO: json_text([list(sound) for sound in sounds]),
    }
    writer.span(names.SESSION, 0, journal.now_us, end_attributes, key=ROOT)


def _plain(queue: object) -> Iterable[object]:
    return (getattr(queue, name) for name in ("stage", "max", "when_full", "high_water", "dropped", "blocked_us"))


def _head(trace: Trace, redactor: Redactor) -> dict[str, object]:
    head = trace.head
    attributes: dict[str, object] = {
        names.FORMAT_VERSION: names.FORMAT,
        names.NAME: head.pipeline,
        names.CONFIG: head.config if redactor.keeps("config") else "",
        names.LAYOUT: json_text(head.layout.to_json()),
        names.RATE: head.rate_hz,
        names.VERSIONS: json_text(head.versions),
        names.SESSION_ID: head.session_id,
        names.BASE: head.base_us,
    }
    if head.mode is not RunMode.FILE:
        attributes[names.MODE] = head.mode
    kept = redactor.kept if redactor.kept is not None else head.kept
    return attributes if kept is None else {**attributes, names.KEPT: json_text(sorted(kept))}


def _sounds(trace: Trace, out: Path, part: Part | None) -> list[Sound]:
    """Copy the sound files: those that the end names, or the WAV files of a killed session, which become FLAC."""
    if part is not None:
        return list(_cut(trace, out, part)) if part.sound else []
    if trace.end is not None:
        for sound in trace.end.sounds:
            # Before it is copied: the trace may come from anyone, and its sound could be a link to a foreign file.
            check_sound(trace.path, sound)
            shutil.copyfile(sound_path(trace.path, sound.role), sound_path(out, sound.role))
        return list(trace.end.sounds)
    stem = trace.path.name.removesuffix(".jsonl")
    left = sorted(
        path
        for path in trace.path.parent.iterdir()
        if path.name.startswith(f"{stem}.") and path.suffix == ".wav" and _holds_samples(path)
    )
    found = []
    for wav in left:
        role = wav.name[len(stem) + 1 : -len(".wav")]
        # The role comes from the name of a file. `sound_path` refuses it if it is not one.
        copy = sound_path(out, role, ".wav")
        shutil.copyfile(wav, copy)
        # Of the copy, because `to_flac` removes its source and the original must not change.
        found.append(sound_digest(to_flac(copy), role))
    return found


def _cut(trace: Trace, out: Path, part: Part) -> Iterator[Sound]:
    """The beginning of each sound, as much as the part has of it."""
    for sound in trace.end.sounds if trace.end is not None else ():
        file = RawSound(out, sound.role, sound.rate_hz)
        file.write(read_sound(trace.path, sound)[: part.samples(sound, trace)].astype("<i2").tobytes())
        yield file.close()


def _holds_samples(wav: Path) -> bool:
    """Whether a file is a regular file with more than a WAV header. A link could point anywhere."""
    return wav.is_file() and not wav.is_symlink() and wav.stat().st_size > HEADER


def as_one_document(trace: Trace) -> str:
    """The trace as one OTLP JSON document, for tools that do not read a line at a time.

    Raises TraceError if the last line is incomplete.
    """
    spans: list[Any] = []
    with trace.path.open("rb") as file:
        for line in file:
            try:
                spans += json.loads(line)["resourceSpans"]
            except ValueError as error:
                raise TraceError(f"{trace.path.name} has an incomplete line", hint="repair it first") from error
    return json.dumps({"resourceSpans": spans}, separators=(",", ":"))
