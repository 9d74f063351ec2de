"""What happens, for those who run the server: one line of JSON for each event, on standard error.

A line names sessions and reasons, and holds nothing that anyone said: no text, no audio, no token.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from flowkit.clock import US_PER_S, wall_us
from flowkit.secrets import mask

Log = Callable[..., None]
"""Called with the name of an event and its fields: ``log("session began", session="sess_1")``."""


def to_stderr(event: str, **fields: str | int | float) -> None:
    """Write one event."""
    at = datetime.fromtimestamp(wall_us() / US_PER_S, UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"at": at, "event": event, **fields}, ensure_ascii=False)
    # In one piece: several processes may write to the same place.
    sys.stderr.write(mask(line) + "\n")
    sys.stderr.flush()
