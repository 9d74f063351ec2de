"""Writes spans to a file of OTLP JSON lines: one line per span, as soon as it has ended.

Span ids are derived from the session's id. So the same session written again gives the same bytes. The format is
https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/; tests read each line with the official schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from flowkit import __version__
from flowkit.errors import OutputError
from flowkit.files import PRIVATE_FOLDER, create, reason_of, sounds_beside

ROOT = "root"
_SAMPLED_AND_LOCAL = 256
"""The flags of a span whose parent is in the same process."""
_INTERNAL = 1
"""The kind of all spans: work inside a process."""
_ERROR = 2
"""The status code of a span that failed."""
_json = json.JSONEncoder(separators=(",", ":")).encode
_SCOPE = _json({"name": "flowkit", "version": __version__})
_BEFORE = (
    '{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"flowkit"}}]},'
    f'"scopeSpans":[{{"scope":{_SCOPE},"spans":['
)
_AFTER = "]}]}]}\n"


class SpanWriter:
    """Writes one trace file.

    Args:
        file: an open, empty text file.
        session_id: the session's id, from which the spans' ids are derived.
        base_us: when the session started, in microseconds since 1970. All other times count from then.
        scrub: masks secrets in a line, without changing its length.
    """

    def __init__(
        self, file: IO[str], session_id: str, base_us: int, scrub: Callable[[str], str] = lambda line: line
    ) -> None:
        self._file = file
        self._session_id = session_id
        self._base_us = base_us
        self._scrub = scrub
        self._count = 0
        self._trace_id = blake2b(session_id.encode(), digest_size=16).hexdigest()
        self.bytes = 0
        """The size of the file. It counts characters, because JSON escapes everything outside ASCII."""

    def span(
        self,
        name: str,
        begin_us: int,
        end_us: int,
        attributes: Mapping[str, Any],
        *,
        key: str = "",
        parent: str = ROOT,
        error: str = "",
    ) -> None:
        """Write a finished span.

        Args:
            name: the span's name.
            begin_us, end_us: its time, in microseconds since the session started.
            attributes: its attributes.
            key: a name under which other spans can refer to it as their parent. Empty: none can.
            parent: the key of its parent.
            error: what failed; empty if nothing did.

        Raises:
            OutputError: the span could not be written.
        """
        self._count += 1
        above = {} if key == ROOT else {"parentSpanId": self._id(parent)}
        span = {
            "traceId": self._trace_id,
            # Without a key its number is the name, so that the same session written again has the same ids.
            "spanId": self._id(key or str(self._count)),
            **above,
            "flags": _SAMPLED_AND_LOCAL,
            "name": name,
            "kind": _INTERNAL,
            "startTimeUnixNano": str((self._base_us + begin_us) * 1000),
            "endTimeUnixNano": str((self._base_us + max(begin_us, end_us)) * 1000),
            "attributes": [{"key": known, "value": _value(value)} for known, value in attributes.items()],
            "status": {"message": error, "code": _ERROR} if error else {},
        }
        self._line(self._scrub(f"{_BEFORE}{_json(span)}{_AFTER}"))

    def _line(self, line: str) -> None:
        self.bytes += len(line)
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the file. Raises OutputError if buffered data could not be written."""
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._file.name}: {reason_of(error)}")

    def _id(self, name: str) -> str:
        """The id of the span with this name."""
        return blake2b(f"{self._session_id}/{name}".encode(), digest_size=8).hexdigest()


def _value(value: Any) -> dict[str, Any]:
    """An attribute's value as OTLP writes it: numbers of 64 bits are text in JSON."""
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):  # before int, because a bool is one
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"arrayValue": {"values": [_value(one) for one in value]}}


def open_new(path: Path) -> IO[str]:
    """Create the file and its folder.

    Raises OutputError if the file or sound of the same name exists, or if it cannot be created.
    """
    hint = "traces are never overwritten: give another name"
    # Sound is found by its name alone, so what another trace left would be taken for this one's.
    if sounds := sounds_beside(path):
        raise OutputError(f"{sounds[0]}, the sound of a recording of that name, already exists", hint=hint)
    # The line break is fixed, so that the bytes of a trace are the same on every system.

    def created(*_: object) -> int:
        return create(path, hint=hint, folder_mode=PRIVATE_FOLDER)

    # With an opener the file knows its name, which an error quotes.
    return open(path, "w", encoding="utf-8", newline="\n", opener=created)
