"""Names and limits of the trace format. docs/trace-format.md explains each."""

from __future__ import annotations

FORMAT = 5
"""Version of the format. Readers refuse any other, because earlier ones were never released."""

START, SESSION, EVENT = "session.start", "flowkit.session", "flowkit.event"
JOURNAL = "flowkit.journal"
"""Span names. `session.start` is written at once. `flowkit.session` is written when the session ends, and so is missing
after a kill."""

FORMAT_VERSION = "flowkit.format"
SESSION_ID = "flowkit.session.id"
NAME = "flowkit.pipeline"
CONFIG = "flowkit.config"
LAYOUT = "flowkit.layout"
RATE = "flowkit.input_rate_hz"
BASE = "flowkit.clock.base_us"
VERSIONS = "flowkit.versions"
KEPT = "flowkit.redact.keep"
MODE = "flowkit.mode"

FIRST, ROWS, TEXT = "flowkit.first_row", "flowkit.rows", "flowkit.rows.text"
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

CHUNK_ROWS = 1000
CHUNK_CHARS = 40_000
"""Limits of a chunk: rows, and characters of content. They keep lines short: a number takes up to 25 bytes and a character
up to 14, and readers accept 1 MiB."""
