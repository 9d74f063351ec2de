"""Reads spans of OpenTelemetry from a file, in the two forms in which Python's SDK writes them.

OTLP as JSON lines (``FileSpanExporter`` of ``opentelemetry-exporter-otlp-json-file``), and the documents of
``ConsoleSpanExporter``. https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.errors import InputError
from flowkit.plural import counted

_DOCUMENT = re.compile(r"^(?=\{)", re.MULTILINE)
_FAILED = 2
_VALUES = {"stringValue": str, "boolValue": bool, "intValue": int, "doubleValue": float}


class OtelSpan(NamedTuple):
    """A span. Times are microseconds since 1970."""

    name: str
    trace: str
    id: str
    begin_us: int
    end_us: int
    attributes: Mapping[str, Any]
    error: str = ""
    """Why it failed; empty if it did not."""


class SpanFile(NamedTuple):
    """The spans of a file, in the order of their begin, and what was left out of it, for people."""

    spans: Sequence[OtelSpan]
    notices: Sequence[str]


def read_spans(path: Path, text: str) -> SpanFile | None:
    """The spans in `text`, the content of `path`; None if it holds no document with spans. A span that is there twice counts once.

    Raises InputError if a span lacks its name or a time, or ends before it begins.
    """
    documents, other, cut = _documents(text)
    spans = {(span.trace, span.id): span for document in documents for span in _spans(path, document)}
    if not spans:
        return None
    notices = []
    if cut:
        notices.append(f"{path}: is cut off in its last document; the spans in that were left out")
    if other:
        notices.append(f"{path}: {counted(other, 'line')} that {'is' if other == 1 else 'are'} no JSON, left out")
    return SpanFile(sorted(spans.values(), key=lambda span: span.begin_us), notices)


def _documents(text: str) -> tuple[list[Any], int, bool]:
    """The JSON objects that begin at the begin of a line, how many other lines there are, and whether the last is cut off."""
    found, other = list[Any](), 0
    chunks = _DOCUMENT.split(text)
    for number, chunk in enumerate(chunks, 1):
        rest = chunk
        if chunk.startswith("{"):
            try:
                document, end = json.JSONDecoder().raw_decode(chunk)
            except (ValueError, RecursionError):
                if number == len(chunks):
                    return found, other, True
            else:
                found.append(document)
                rest = chunk[end:]
        other += sum(bool(line.strip()) for line in rest.splitlines())
    return found, other, False


def _spans(path: Path, document: Mapping[str, Any]) -> Iterator[OtelSpan]:
    if "resourceSpans" in document:
        for resource in _dicts(document["resourceSpans"]):
            for scope in _dicts(resource.get("scopeSpans")):
                yield from (_of_otlp(path, span) for span in _dicts(scope.get("spans")))
    elif isinstance(document.get("context"), dict) and "start_time" in document:
        yield _of_console(path, document)


def _dicts(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _of_otlp(path: Path, span: Mapping[str, Any]) -> OtelSpan:
    try:
        status = span.get("status") or {}
        found = OtelSpan(
            str(span["name"]),
            str(span["traceId"]),
            str(span["spanId"]),
            round(int(span["startTimeUnixNano"]) / 1000),
            round(int(span["endTimeUnixNano"]) / 1000),
            {
                str(one["key"]): _VALUES[kind](value)
                for one in _dicts(span.get("attributes"))
                for kind, value in one.get("value", {}).items()
                if kind in _VALUES
            },
            _error(status.get("code") == _FAILED, status.get("message")),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _lacking(path, span) from error
    return _checked(path, found)


def _of_console(path: Path, span: Mapping[str, Any]) -> OtelSpan:
    try:
        status = span.get("status") or {}
        found = OtelSpan(
            str(span["name"]),
            _hex(span["context"]["trace_id"]),
            _hex(span["context"]["span_id"]),
            _us(span["start_time"]),
            _us(span["end_time"]),
            dict(span.get("attributes") or {}),
            _error(status.get("status_code") == "ERROR", status.get("description")),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _lacking(path, span) from error
    return _checked(path, found)


def _hex(found: object) -> str:
    return str(found).removeprefix("0x")


def _us(found: str) -> int:
    return round(datetime.fromisoformat(found).timestamp() * 1e6)


def _error(failed: bool, told: object) -> str:
    return (str(told or "") or "error") if failed else ""


def _lacking(path: Path, span: Mapping[str, Any]) -> InputError:
    return InputError(f"{path}: a span ({str(span.get('name'))[:30]!r}) has no name, or no times that can be read")


def _checked(path: Path, span: OtelSpan) -> OtelSpan:
    if span.end_us < span.begin_us:
        raise InputError(
            f"{path}: a span ({span.name!r}, {span.id}) ends {(span.begin_us - span.end_us) / 1e6:.3f} s before it begins",
            hint="the times run backwards: was the clock set during the call?",
        )
    return span
