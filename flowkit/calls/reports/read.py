"""Reads a report in any of the forms that flowkit knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowkit.calls.reports.livekit import read_livekit
from flowkit.calls.reports.otel import read_spans
from flowkit.calls.reports.pipecat import read_pipecat
from flowkit.calls.reports.report import CallReport
from flowkit.calls.reports.turns import read_turns
from flowkit.errors import InputError, UsageError

SUFFIXES = (".json", ".jsonl")
"""How the name of a report ends."""
_MOST_BYTES = 64 << 20
_HINT = "it reads LiveKit's session report, Pipecat's spans, and turns as flowkit import --turns writes them"


def read_report(path: Path, conversation: str = "") -> CallReport:
    """The call of a report. `conversation`: which one of several, if the report is spans.

    Raises:
        InputError: the file is no report, or its times are impossible.
        UsageError: it holds several conversations and not the one that is named, or one that needs no name.
    """
    text = _text(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        found, why = None, f"is no JSON: {str(error)[:100]}"
    else:
        why = "is no report that flowkit knows"
    report = _of_one(path, found)
    if report is not None:
        if conversation:
            raise UsageError("--conversation is about spans, and this report has one conversation")
        return report
    spans = read_spans(path, text)
    if spans is None:
        raise InputError(f"{path}: {why}", hint=_HINT)
    return read_pipecat(path, spans, conversation)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB")
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not text.strip():
        raise InputError(f"{path}: is empty", hint=_HINT)
    return text


def _of_one(path: Path, found: Any) -> CallReport | None:
    """The call of a report that is one JSON value."""
    if isinstance(found, dict) and isinstance(found.get("chat_history"), dict):
        return read_livekit(path, found)
    if isinstance(found, list) and found and all(isinstance(one, dict) and "who" in one for one in found):
        return read_turns(path, found)
    return None
