"""Names and limits of the trace format; docs/trace-format.md says what each means."""

from __future__ import annotations

FORMAT = 4
"""Version of the format. A reader refuses any other: earlier ones were never released."""

START, SESSION, EVENT = "session.start", "flowkit.session", "flowkit.event"
JOURNAL, JOURNAL_PART = "flowkit.journal", "flowkit.journal.part"
"""Span names. `session.start` is written at once, `flowkit.session` when the session ends and never after a kill; a
`flowkit.journal.part` only counts where its `flowkit.journal` is missing."""

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
"""The event that says that a secret came up and was masked."""
CUT_OFF = "cut off"
"""The reason of a session whose end was not recorded, once its trace is repaired."""
EVENT_NAME, EVENT_DETAIL = "flowkit.event.name", "flowkit.event.detail"

MAX_LINE = 1 << 20
MAX_FILE = 1 << 30
MAX_LINES = 1_000_000
MAX_AUDIO = 1 << 30
MAX_DEPTH = 32
"""What a reader accepts: bytes of a line, bytes and lines of a file, bytes of PCM in one sound file, nesting."""
