"""The trace: a file format for the record of a session.

Reading order: ``names`` (attributes and limits), ``columns``, ``rows``, ``chunks`` (a journal as text),
``decode`` (text read back), ``redact`` (what may not be written), ``audio`` (the sound files), ``writer``, ``journal``,
``tape``, ``thread`` and ``recorder`` (writing), ``schema`` and ``reader`` (reading), ``rewrite`` (repair and
redaction).

To record a live session:

    recorder = open_recorder(path, plan, config=show(config, plan), secrets=secrets_of(plan), keep=None, audio=True)
    ...                                   # run_session(plan, observers=(recorder, ...))
    recording = recorder.close(reason, queues=queue_reports(inboxes))   # outside the event loop, or in a thread

``config`` is the resolved configuration as text with secrets masked. ``secrets`` are values that the trace must not
contain anywhere. ``keep`` is ``trace.redact.keep`` or None. If recording failed before the end, `recording.lost` says
why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowkit.trace.recorder import open_recorder as open_recorder

__all__ = ["open_recorder"]


def __getattr__(name: str) -> Any:
    """Import ``open_recorder`` when it is asked for: it needs OpenTelemetry, which takes long to import."""
    if name == "open_recorder":
        from flowkit.trace.recorder import open_recorder

        return open_recorder
    raise AttributeError(name)
