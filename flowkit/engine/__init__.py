"""One session as a sans-IO state machine.

Reading order: ``core``, then ``mailbox``, ``journal``, ``timers``; ``effects`` and ``observer`` are what a pump sees.

A pump (``flowkit.runtime`` live, ``flowkit.replay`` in a replay) brings stimuli in and carries effects out. The engine
owns everything between: mailboxes, bounds, outboxes, timers, the order of handling, and the journal.
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
