"""Testing a provider of one's own. One call checks what every provider promises, whatever its kind:

    from flowkit.testing.provider import check_provider

    def test_my_voice():
        check_provider(MyVoice, MyVoice.Options(voice="anna"))

It loads the provider, calls it as a pipeline would and in unkind ways, and raises ``Faults``, which lists all that it found:

- answers: of the right type, numbered, whole, in order, one final for each utterance, one end for each clause;
- empty, long and unpronounceable input;
- a call that is cancelled is gone within its grace, says nothing more, and leaves the next one right;
- a slow stage loses nothing, and items are handed over one after another;
- what goes wrong is a FlowkitError of one line, while loading as well as later;
- sessions that share a model do not disturb each other;
- the event loop is not held, and no task, thread, process or socket is left behind.

The other names are for tests of your own: ``FakeSession`` (surroundings), ``opened`` (a provider with its model, ready),
``answer``, ``Answers``, ``PacedItems``, ``frames``, ``utterance``.
"""

from flowkit.providers.models import opened
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
    "opened",
    "utterance",
]
