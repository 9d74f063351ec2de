"""Writes spans to a file of OTLP JSON lines with the OpenTelemetry SDK: one line per span, as soon as it has ended.

It has a tracer provider of its own, so that no other library's sampler and no limit in the environment (``OTEL_*``) can
drop or shorten spans. Span ids are derived from the session's id. So the same session written again gives the same
bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, cast

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context

from flowkit import __version__
from flowkit.errors import OutputError
from flowkit.files import PRIVATE_FOLDER, create, reason_of, sounds_beside

_UNLIMITED = SpanLimits.UNSET
ROOT = "root"


class _Ids(IdGenerator):
    """Derives ids from the session's id and a name. `next_name` is the name of the next span."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        # OpenTelemetry's ids have 16 bytes for a trace and 8 for a span.
        self._trace_id = int.from_bytes(blake2b(session_id.encode(), digest_size=16).digest(), "big")
        self.next_name = ROOT

    def span_id(self, name: str) -> int:
        """The id of the span with this name."""
        return int.from_bytes(blake2b(f"{self._session_id}/{name}".encode(), digest_size=8).digest(), "big")

    def generate_span_id(self) -> int:
        return self.span_id(self.next_name)

    def generate_trace_id(self) -> int:
        return self._trace_id


class _Stream:
    """The file that the exporter writes to. Masks secrets in each line.

    A failed write is stored in `error`. If it were raised, the exporter would log it with a traceback.
    """

    closed = False

    def __init__(self, file: IO[str], scrub: Callable[[str], str]) -> None:
        self._file = file
        self._scrub = scrub
        self.bytes = 0
        self.error: OSError | None = None

    def write(self, line: str) -> int:
        line = self._scrub(line)
        self.bytes += len(line)
        try:
            return self._file.write(line)
        except OSError as error:
            # The first error is the cause. Later ones only follow from it.
            self.error = self.error or error
            return 0

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self.error = self.error or error


class _AtOnce(SpanProcessor):
    """Exports each span when it ends. The SDK's own processor does not report whether an export failed."""

    def __init__(self, exporter: FileSpanExporter) -> None:
        self._exporter = exporter
        self.failed = False

    def on_end(self, span: ReadableSpan) -> None:
        # Never reset: once a line is lost, the file is not whole any more.
        self.failed |= self._exporter.export([span]) is not SpanExportResult.SUCCESS


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
        self._ids = _Ids(session_id)
        self._base_us = base_us
        self._count = 0
        self._file = file
        self._stream = _Stream(file, scrub)
        self._processor = _AtOnce(FileSpanExporter(stream=cast("IO[str]", self._stream)))
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": "flowkit"}),
            id_generator=self._ids,
            span_limits=_limits(),
            # The SDK would register an exit handler for each session of a host, which keeps its writer alive.
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("flowkit", __version__)
        # Most spans are children of the root, so its context is made only once.
        self._under_root = self._under(ROOT)

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
        # Without a key its number is the name, so that the same session written again has the same ids.
        self._ids.next_name = key or str(self._count)
        context = self._under_root if parent == ROOT else self._under(parent)
        # The root span has no parent, but the id generator gives it the same trace id as the others.
        span = self._tracer.start_span(
            name, None if key == ROOT else context, attributes=dict(attributes), start_time=self._ns(begin_us)
        )
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(self._ns(max(begin_us, end_us)))
        if self._stream.error is not None:
            raise OutputError(f"cannot write {self._file.name}: {reason_of(self._stream.error)}")
        if self._processor.failed:
            raise OutputError("the trace cannot be written any further; is the disk full?")

    def _under(self, parent: str) -> Context:
        """The context in which a new span becomes a child of the span with key `parent`."""
        above = SpanContext(
            self._ids.generate_trace_id(), self._ids.span_id(parent), False, TraceFlags(TraceFlags.SAMPLED)
        )
        return set_span_in_context(NonRecordingSpan(above))

    @property
    def lines(self) -> int:
        """How many spans, and so lines, were written so far."""
        return self._count

    @property
    def bytes(self) -> int:
        """The size of the file in bytes. It counts characters, because JSON escapes everything outside ASCII."""
        return self._stream.bytes

    def close(self) -> None:
        """Close the file. Raises OutputError if buffered data could not be written."""
        try:
            self._file.close()
        except OSError as error:
            raise OutputError(f"cannot write {self._file.name}: {reason_of(error)}") from error

    def _ns(self, at_us: int) -> int:
        return (self._base_us + at_us) * 1000


def _limits() -> SpanLimits:
    """No limits."""
    return SpanLimits(
        max_span_attributes=_UNLIMITED,
        max_events=_UNLIMITED,
        max_links=_UNLIMITED,
        max_event_attributes=_UNLIMITED,
        max_link_attributes=_UNLIMITED,
        max_attribute_length=_UNLIMITED,
        max_span_attribute_length=_UNLIMITED,
    )


def open_new(path: Path) -> IO[str]:
    """Create the file and its folder.

    Raises OutputError if the file or sound of the same name exists, or if it cannot be created.
    """
    hint = "traces are never overwritten: give another name"
    # Sound is found by its name alone, so what another trace left would be taken for this one's.
    if sounds := sounds_beside(path):
        raise OutputError(f"{sounds[0]}, the sound of a recording of that name, already exists", hint=hint)
    # The line break is fixed, so that the bytes of a trace are the same on every system.
    return os.fdopen(create(path, hint=hint, folder_mode=PRIVATE_FOLDER), "w", encoding="utf-8", newline="\n")
