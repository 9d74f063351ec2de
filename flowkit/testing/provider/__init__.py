"""Checks a provider of your own. One call checks the contract that every provider of its kind has to keep:

    from flowkit.testing.provider import check_provider

    def test_my_voice():
        check_provider(MyVoice, MyVoice.Options(voice="anna"))

It loads the provider, calls it as a pipeline does and with difficult input, and raises ``Faults`` with a list of
everything that it found. These rules are checked:

- Answers have the right type, are numbered, complete and in order: one Final for each utterance, one end for each clause.
- Empty, long and unpronounceable input, and text in other scripts, is handled.
- A call that is cancelled before, at or between its answers ends within its grace period, emits nothing more, and does
  not affect the next call.
- A slow stage loses nothing, and items are emitted one after another.
- Errors are FlowkitErrors with one line of text, while loading and in a call.
- Sessions that share a model do not affect each other.
- The event loop is not blocked, and no task, thread, process, socket or open file is left.

The other names are for tests of your own: ``FakeSession`` (surroundings), ``opened`` (a provider with its model,
ready), ``open_models`` (models that providers share), ``answer``, ``Answers``, ``PacedItems``, ``frames``, ``utterance``.
"""

from flowkit.providers.models import open_models, opened
from flowkit.testing.faults import Faults
from flowkit.testing.provider.calls import (
    FRAME_BYTES,
    FRAME_US,
    RATE_HZ,
    Answers,
    FakeSession,
    PacedItems,
    answer,
    frames,
    utterance,
)
from flowkit.testing.provider.check import check_provider

__all__ = [
    "FRAME_BYTES",
    "FRAME_US",
    "RATE_HZ",
    "Answers",
    "FakeSession",
    "Faults",
    "PacedItems",
    "answer",
    "check_provider",
    "frames",
    "open_models",
    "opened",
    "utterance",
]
