"""The schema of a trace: the lines, and the JSON in their attributes.

Everything is checked against it once, while it is read. The columns of a chunk are checked against the fields of their
messages; see ``rows``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from flowkit.config import RunMode
from flowkit.errors import TraceError
from flowkit.figures.layout import MOST_STAGES, BoundedEdge, Layout, StagePrice
from flowkit.trace import names
from flowkit.trace.names import CHUNK_ROWS

T = TypeVar("T")

Count = Annotated[int, Meta(ge=0, lt=names.MOST)]
Rate = Annotated[int, Meta(ge=1_000, lt=1_000_000)]
# `$` would accept a line break at the end, so these patterns end with `\Z`.
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
ROLE = re.compile(r"\A(input|voice-\d{4,6})\Z")

# -- lines -------------------------------------------------------------------------------------------------------------


class _Values(Struct):
    """The items of an attribute that is a list."""

    values: list[_Value] = []


class _Value(Struct):
    """The value of an attribute in OTLP. Types that flowkit does not write are ignored."""

    stringValue: str | None = None
    # JSON of OTLP writes 64-bit integers as text, and allows plain numbers too.
    intValue: str | int | None = None
    arrayValue: _Values | None = None

    def plain(self) -> Any:
        """A str, an int or a list."""
        if self.arrayValue is not None:
            return [value.plain() for value in self.arrayValue.values]
        return self.stringValue if self.intValue is None else int(self.intValue)


class _Attribute(Struct):
    """An attribute of a span."""

    key: str
    value: _Value


class StoredSpan(Struct):
    """The fields of a span that flowkit reads."""

    name: str
    traceId: str
    startTimeUnixNano: str | int = 0
    attributes: list[_Attribute] = []

    def values(self) -> dict[str, Any]:
        """The attributes by name."""
        return {attribute.key: attribute.value.plain() for attribute in self.attributes}


class _Scope(Struct):
    spans: list[StoredSpan]


class _Resource(Struct):
    scopeSpans: list[_Scope]


class _Line(Struct):
    resourceSpans: list[_Resource]


def spans(line: bytes) -> Iterator[StoredSpan]:
    """The spans in a line. Raises ValueError or RecursionError if it is malformed."""
    for resource in checked(line, _Line).resourceSpans:
        for scope in resource.scopeSpans:
            yield from scope.spans


# -- what flowkit's spans hold -----------------------------------------------------------------------------------------


class StartSpan(Struct, rename={
    "version": names.FORMAT_VERSION, "session_id": names.SESSION_ID, "pipeline": names.NAME, "config": names.CONFIG,
    "layout": names.LAYOUT, "rate_hz": names.RATE, "base_us": names.BASE, "versions": names.VERSIONS, "kept": names.KEPT,
    "mode": names.MODE,
}):  # fmt: skip
    """The attributes of ``session.start``. `layout`, `versions` and `kept` are JSON."""

    version: int
    session_id: str
    pipeline: str
    config: str
    layout: str
    rate_hz: Rate
    base_us: Annotated[int, Meta(ge=0, lt=1 << 60)]
    versions: str
    kept: str | None = None
    mode: RunMode = RunMode.FILE


class EndSpan(Struct, rename={
    "reason": names.REASON, "digest": names.DIGEST, "rows": names.ROWS, "queues": names.QUEUES, "sounds": names.AUDIO,
}):  # fmt: skip
    """The attributes of ``flowkit.session``. `queues` and `sounds` are JSON."""

    reason: str
    digest: Digest
    rows: Count
    queues: str
    sounds: str


class RowsSpan(Struct, rename={
    "first": names.FIRST, "rows": names.ROWS, "text": names.TEXT,
    "levels_first": names.LEVELS_FIRST, "levels": names.LEVELS,
}):  # fmt: skip
    """The attributes of ``flowkit.journal``."""

    first: Count
    rows: Annotated[int, Meta(ge=0, le=CHUNK_ROWS + 2 * MOST_STAGES)]
    text: str
    levels_first: list[Count] = []
    levels: list[str] = []


class EventSpan(Struct, rename={"name": names.EVENT_NAME, "detail": names.EVENT_DETAIL}):
    """The attributes of ``flowkit.event``."""

    name: str
    detail: str


class QueueFigures(NamedTuple):
    """An entry of `queues`: the fields of a ``QueueReport``."""

    stage: str
    max: Count
    when_full: str
    high_water: Count
    dropped: Count
    blocked_us: Count


class Sound(NamedTuple):
    """A sound file of a trace."""

    role: Annotated[str, Meta(pattern=ROLE.pattern)]
    """``input`` or ``voice-RATE``."""
    rate_hz: Rate
    samples: Count
    """How many samples it has."""
    digest: Digest
    """The blake2b digest of its samples, 32 hex digits."""


class _Layout(Struct):
    stages: Annotated[list[tuple[str, str]], Meta(min_length=1, max_length=MOST_STAGES)]
    edges: Annotated[list[BoundedEdge], Meta(max_length=MOST_STAGES**2)]
    frame_us: Annotated[int, Meta(ge=1_000, le=1_000_000)] = 20_000
    prices: Annotated[list[StagePrice], Meta(max_length=MOST_STAGES**2)] = []
    currency: Annotated[str, Meta(max_length=3)] = ""


def layout(text: str) -> Layout:
    """A stored layout. Raises ValueError if it is malformed, has a stage twice, or an edge of a stage that does not exist."""
    stored = checked(text, _Layout)
    known = {id_ for id_, _ in stored.stages}
    if len(known) != len(stored.stages):
        raise ValueError("a stage occurs twice in the layout")
    if unknown := {id_ for edge in stored.edges for id_ in edge[:2]} - known:
        raise ValueError(f"an edge of a stage that does not exist: {min(unknown)[:40]!r}")
    return Layout(tuple(stored.stages), tuple(stored.edges), stored.frame_us, tuple(stored.prices), stored.currency)


# -- the journal's text ------------------------------------------------------------------------------------------------


class ShapeHead(NamedTuple):
    """The head of a shape, without the followers."""

    stage: Count
    kind: str
    cause: Count = 0
    fate: Annotated[int, Meta(ge=0, le=3)] = 0


class StoredRows(NamedTuple):
    """The text of a chunk. docs/trace-format.md explains the elements."""

    first: Count
    begin_us: Count
    ns: list[Count]
    ats: Annotated[list[tuple[Count, Count, Count]], Meta(min_length=1, max_length=CHUNK_ROWS)]
    pattern: Annotated[str, Meta(min_length=1, max_length=CHUNK_ROWS)]
    shapes: Annotated[list[Annotated[list[Any], Meta(min_length=2)]], Meta(max_length=CHUNK_ROWS)]


# -- reading -----------------------------------------------------------------------------------------------------------

_json = msgspec.json.Decoder()


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError or RecursionError if the text is not JSON.

    msgspec takes little more than a third of the standard library's time. It refuses NaN and half a surrogate pair,
    which a model may emit. Such texts go to the standard library.
    """
    try:
        return _json.decode(text)
    except ValueError:
        return json.loads(text if isinstance(text, str) else text.decode())


def checked(text: str | bytes, type_: type[T]) -> T:
    """The value of a JSON text, of this type. Half a surrogate pair becomes a question mark.

    Raises ValueError or RecursionError if the text is not JSON, or its value not of this type.
    """
    try:
        return msgspec.json.decode(text, type=type_)
    # A subclass of the next one. Here the text is JSON, so reading it in another way would not help.
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        again = json.dumps(parsed(text), ensure_ascii=False).encode("utf-8", "replace")
        return msgspec.json.decode(again, type=type_)


def typed(value: Any, type_: type[T]) -> T:
    """Parsed JSON as a value of type `type_`. Raises ValueError if it is not of this type."""
    return msgspec.convert(value, type_)


def refuse_other_format(version: object, name: str) -> None:
    """Raise TraceError for a version of the format that this flowkit does not read."""
    if type(version) is int and version != names.FORMAT:
        newer = "upgrade flowkit-voice" if version > names.FORMAT else "record the session again"
        raise TraceError(f"{name} has format {version}; this flowkit reads {names.FORMAT}", hint=newer)
