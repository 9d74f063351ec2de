"""The computed audio of a session, compared with what a device plays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.engine import Fate
from flowkit.figures.layout import layout_of
from flowkit.figures.sound import SpeakerSound
from flowkit.figures.sounded import sounded
from flowkit.messages import Hold, Interrupt
from flowkit.testing.sessions import heap_session, scripted_plan
from flowkit.testing.strategies.conversations import Conversation, conversations, interruptions


@settings(max_examples=100, deadline=None)
@given(conversation=st.one_of(conversations(), interruptions().map(lambda pair: pair[0])))
def test_it_falls_silent_when_the_device_has_popped_its_last(conversation: Conversation) -> None:
    plan = scripted_plan(**conversation)
    rows, sound = heap_session(plan).journal.rows, SpeakerSound(plan.frame_us)
    ends_us = [pop.t_us + pop.samples * 1_000_000 // pop.rate_hz for pop in sounded(rows, layout_of(plan))]
    for row in rows:
        if row.stage != "speaker" or row.fate is not Fate.HANDLED:
            continue
        sound.row(row)
        if isinstance(row.message, Hold | Interrupt) and sound.silenced[0] == row.sent_us:
            cut_us = sound.tick(row.handled_us)
            last_us = max((us for us in ends_us if us <= cut_us + 1), default=0)
            # Or it was just about to begin.
            assert abs(sound.silenced[1] - last_us) <= 1 or sound.silenced[1] == cut_us
