"""One session as a sans-IO state machine. Read ``core`` first, then ``mailbox``, ``journal``, ``timers``.

A pump (live: ``flowkit.runtime``, replay: ``flowkit.replay``) hands stimuli in and carries effects out; the engine holds
everything between: mailboxes, bounds, outboxes, timers, the order of things, and the journal.
"""

from flowkit.engine.core import Engine
from flowkit.engine.effects import (
    AT_ONCE,
    CallCancelled,
    CallEnded,
    CallFed,
    CallOpened,
    Effect,
    Finished,
    Stimulus,
    credit_batch,
)
from flowkit.engine.journal import Fate, Journal, Row

__all__ = [
    "AT_ONCE",
    "CallCancelled",
    "CallEnded",
    "CallFed",
    "CallOpened",
    "Effect",
    "Engine",
    "Fate",
    "Finished",
    "Journal",
    "Row",
    "Stimulus",
    "credit_batch",
]
