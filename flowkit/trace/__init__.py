"""The record of a session, and the figures read off it.

Reading order: ``observer`` (who may watch a session), ``listener`` and ``reference`` (the ruler: where the user's voice was),
``layout`` and ``figures`` (what is measured, and of what), ``sound`` and ``queues`` (what rows say of playback and of queues),
``metrics`` (all of it). Then the file: ``names`` (its attributes and limits), ``rows``, ``columns``, ``parts`` and ``codec`` (a
journal as text), ``steps``, ``stored`` and ``block`` (text read back, many chunks as one; ``format1`` reads what was written
first), ``grouped`` and ``passages`` (the rows that they make, and what goes through relays), ``stretch`` (all of that, an epoch
and turn at a time), ``redact`` (what may not be written), ``audio`` and ``spans`` (what goes with the journal), ``writer``,
``journal``, ``tape`` and ``recorder`` (writing), ``parse`` and ``reader`` (reading).

To record a live session:

    recorder = open_recorder(path, plan, config=show(config, plan), secrets=secrets_of(plan), keep=None, audio=True)
    ...                                   # run_session(plan, observers=(recorder, ...))
    recording = recorder.close(reason, queues=queue_reports(inboxes))   # outside the event loop, or in a thread

``config`` is the resolved configuration as text, secrets masked; ``secrets`` are values that no byte of the trace may hold;
``keep`` is ``trace.redact.keep`` or None. `recording.lost` says why a record is not whole, if it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowkit.trace.recorder import open_recorder as open_recorder

__all__ = ["open_recorder"]


def __getattr__(name: str) -> Any:
    """Recording needs OpenTelemetry, which takes a while to import and is not wanted where figures are only read."""
    if name == "open_recorder":
        from flowkit.trace.recorder import open_recorder

        return open_recorder
    raise AttributeError(name)
