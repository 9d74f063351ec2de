"""Names and limits of the trace format. docs/trace-format.md explains each."""

from __future__ import annotations

FORMAT = 4
"""Version of the format. Readers refuse any other, because earlier ones were never released."""

START, SESSION, EVENT = "session.start", "flowkit.session", "flowkit.event"
JOURNAL, JOURNAL_PART = "flowkit.journal", "flowkit.journal.part"
"""Span names. `session.start` is written at once. `flowkit.session` is written when the session ends, and so is missing
after a kill. A `flowkit.journal.part` counts only where its `flowkit.journal` is missing."""

FORMAT_VERSION = "flowkit.format"
SESSION_ID = "flowkit.session.id"
NAME = "flowkit.pipeline"
CONFIG = "flowkit.config"
LAYOUT = "flowkit.layout"
RATE = "flowkit.input_rate_hz"
BASE = "flowkit.clock.base_us"
VERSIONS = "flowkit.versions"
KEPT = "flowkit.redact.keep"

CHUNK, FIRST, ROWS, TEXT = "flowkit.chunk", "flowkit.first_row", "flowkit.rows", "flowkit.rows.text"
LEVELS, LEVELS_FIRST = "flowkit.levels", "flowkit.levels.first_frame"

REASON, DIGEST, QUEUES, AUDIO = "flowkit.reason", "flowkit.digest", "flowkit.queues", "flowkit.audio"
MASKED = "masked"
"""Name of the event that says that a secret was masked."""
CUT_OFF = "cut off"
"""Reason of a session in a repaired trace whose end was not recorded."""
EVENT_NAME, EVENT_DETAIL = "flowkit.event.name", "flowkit.event.detail"

MAX_LINE = 1 << 20
MAX_FILE = 1 << 30
MAX_LINES = 1_000_000
MAX_AUDIO = 1 << 30
MAX_DEPTH = 32
"""Limits of a reader: bytes in a line, bytes and lines in a file, bytes of PCM in a sound file, depth of nesting."""

MOST = 1 << 48
"""More rows of a stage, samples or microseconds than any session reaches."""

CHUNK_ROWS = 20_000
CHUNK_VALUES = 40_000
CHUNK_SHAPES = 1000
CHUNK_EPOCHS = 1000
"""Limits of a chunk: rows, numbers and characters of content, shapes, changes of epoch or turn. The limit on content
keeps lines short: a number takes up to 25 bytes and a character up to 14, and readers accept 1 MiB."""
