"""A trace written again: mended after a crash, or with content masked. The original stays as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowkit.errors import OutputError, TraceError
from flowkit.files import sounds_beside
from flowkit.trace import names
from flowkit.trace.audio import HEADER, Sound, read_sound, sound_digest, sound_path, to_flac
from flowkit.trace.journal import JournalWriter
from flowkit.trace.reader import SessionEnd, Trace
from flowkit.trace.redact import Redactor
from flowkit.trace.tape import json_text
from flowkit.trace.writer import ROOT, SpanWriter, open_new


def repair(trace: Trace, out: Path) -> Trace | None:
    """Write the part of a trace that is whole to `out`, with an end, its sound turned into FLAC. None if it needs no repair."""
    if trace.end is not None and not trace.notices:
        return None
    rewrite(trace, out, Redactor())
    return trace


def redact(trace: Trace, out: Path, keep: Iterable[str]) -> None:
    """Write the trace to `out` with all content masked that `keep` does not name. Sound is copied only if `audio` is kept."""
    kept = set(keep)
    if trace.head.kept is not None:
        kept &= trace.head.kept
    rewrite(trace, out, Redactor(kept))


def rewrite(trace: Trace, out: Path, redactor: Redactor) -> None:
    """Write a trace again, what `redactor` masks masked: whole, or nothing. Raises OutputError if `out` exists or cannot be
    written."""
    writer = SpanWriter(open_new(out), trace.head.session_id, trace.head.base_us, redactor.scrub)
    try:
        _write(writer, trace, out, redactor)
        writer.close()
    except BaseException:
        with suppress(OutputError):
            writer.close()
        # What is half written would block the next attempt. Nothing of this name was here before.
        for path in (out, *sounds_beside(out)):
            path.unlink(missing_ok=True)
        raise


def _write(writer: SpanWriter, trace: Trace, out: Path, redactor: Redactor) -> None:
    writer.span(names.START, 0, 0, _head(trace, redactor))
    for event in trace.events:
        told = {
            names.EVENT_NAME: redactor.event_name(event.name),
            names.EVENT_DETAIL: redactor.text(event.detail, "events"),
        }
        writer.span(names.EVENT, event.at_us, event.at_us, told)
    journal = JournalWriter(trace.layout)
    journal.levels(0, trace.levels)
    journal.write(writer, redactor.rows(trace.rows()))
    journal.finish(writer)
    sounds = _sounds(trace, out) if redactor.keeps("audio") else []
    end = trace.end or SessionEnd(names.CUT_OFF, "", 0, (), ())
    reason = redactor.reason(end.reason)
    told_end = {
        names.REASON: reason,
        names.DIGEST: journal.digest(),
        names.ROWS: journal.rows,
        names.QUEUES: json_text([list(_plain(queue)) for queue in end.queues]),
        names.AUDIO: json_text([list(sound) for sound in sounds]),
    }
    writer.span(names.SESSION, 0, journal.now_us, told_end, key=ROOT)


def _plain(queue: object) -> Iterable[object]:
    return (getattr(queue, name) for name in ("stage", "max", "when_full", "high_water", "dropped", "blocked_us"))


def _head(trace: Trace, redactor: Redactor) -> dict[str, object]:
    head = trace.head
    told: dict[str, object] = {
        names.FORMAT_VERSION: names.FORMAT,
        names.NAME: head.pipeline,
        names.CONFIG: head.config if redactor.keeps("config") else "",
        names.LAYOUT: json_text(head.layout.to_json()),
        names.RATE: head.rate_hz,
        names.VERSIONS: json_text(head.versions),
        names.SESSION_ID: head.session_id,
        names.BASE: head.base_us,
    }
    kept = redactor.kept if redactor.kept is not None else head.kept
    return told if kept is None else {**told, names.KEPT: json_text(sorted(kept))}


def _sounds(trace: Trace, out: Path) -> list[Sound]:
    """Bring the sounds along: those that the end names, or the WAVs that a killed session left."""
    if trace.end is not None:
        for sound in trace.end.sounds:
            read_sound(trace.path, sound)
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
        copy = sound_path(out, role, ".wav")
        shutil.copyfile(wav, copy)
        found.append(sound_digest(to_flac(copy), role))
    return found


def _holds_samples(wav: Path) -> bool:
    """Whether there is something to mend: a file of this folder, with more than a header."""
    return wav.is_file() and not wav.is_symlink() and wav.stat().st_size > HEADER


def as_one_document(trace: Trace) -> str:
    """The file as one OTLP JSON document, for tools that want a document and not lines; without the parts of chunks, where
    all chunks are there. Raises TraceError for a torn file."""
    spans: list[Any] = []
    with trace.path.open("rb") as file:
        for line in file:
            try:
                told = json.loads(line)["resourceSpans"]
            except ValueError as error:
                raise TraceError(f"{trace.path.name} is torn", hint="repair it first") from error
            spans += told if trace.parts or not _only_parts(told) else ()
    return json.dumps({"resourceSpans": spans}, separators=(",", ":"))


def _only_parts(told: list[Any]) -> bool:
    spans = (span for of_resource in told for of_scope in of_resource["scopeSpans"] for span in of_scope["spans"])
    return all(span["name"] == names.JOURNAL_PART for span in spans)
