"""The follower: which records it returns and when, and that it keeps none of them."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.engine import Fate, Row
from flowkit.figures.device import BEGAN, ENDED
from flowkit.figures.follower import Follower
from flowkit.figures.layout import Layout, layout_of
from flowkit.figures.metrics import Figures, measure
from flowkit.figures.records import CallEnd, Ended, SpeechRecord, TurnEnd, TurnRecord
from flowkit.messages import (
    Ask,
    Cancelled,
    Done,
    EndOfUtterance,
    Failed,
    Final,
    Message,
    Partial,
    PlaybackStarted,
    ReplyPlayed,
    Silence,
    Speak,
    SpeechStarted,
    Utterance,
)
from flowkit.testing.sessions import heap_session, scripted_plan
from flowkit.testing.strategies.conversations import Conversation, conversations, interruptions
from tests.trace.sessions import pipeline, run

anything = st.one_of(conversations(), interruptions().map(lambda pair: pair[0]))
EVENT = tuple[int, str, str]


def journal(conversation: Conversation) -> tuple[list[Row], Layout]:
    plan = scripted_plan(**conversation)
    return heap_session(plan).journal.rows, layout_of(plan)


def followed(rows: list[Row], layout: Layout) -> list[tuple[int | None, Ended]]:
    """What is handed out, with the time of the row by which it was; None: at the end."""
    follower = Follower(layout)
    handed: list[tuple[int | None, Ended]] = [(row.handled_us, over) for row in rows for over in follower.row(row)]
    return [*handed, *((None, over) for over in follower.finish())]


@settings(max_examples=100, deadline=None)
@given(conversation=anything)
def test_every_turn_is_handed_out_once_when_it_has_been_over_for_a_second(conversation: Conversation) -> None:
    rows, layout = journal(conversation)
    turns = [(at_us, over) for at_us, over in followed(rows, layout) if isinstance(over, TurnRecord)]
    released = [row.message.turn for row in rows if isinstance(row.message, Utterance) and row.stage == "llm"]
    assert [reply.number for _, turn in turns for reply in turn.replies()] == released
    assert [turn.number for _, turn in turns] == sorted(set(released))
    for at_us, turn in turns:
        assert turn.ended_us is not None
        assert at_us is None or at_us >= turn.ended_us + 1_000_000


@settings(max_examples=100, deadline=None)
@given(conversation=anything)
def test_the_calls_of_the_turns_are_those_of_the_journal(conversation: Conversation) -> None:
    rows, layout = journal(conversation)
    turns = [over for _, over in followed(rows, layout) if isinstance(over, TurnRecord)]
    told = {
        number: (call.request, call.opened_us, call.items, call.end, call.ended_us)
        for turn in turns
        for reply in turn.replies()
        for number, call in reply.calls.items()
    }
    assert told == {number: call_of(number, rows) for number in told}
    assert set(told) == {row.call for row in rows if isinstance(row.message, Ask | Speak)}


def call_of(number: int, rows: list[Row]) -> tuple[Message, int, int, CallEnd, int | None]:
    """A call, read off the rows that name it."""
    opened, *later = [row for row in rows if row.call == number and row.fate is Fate.HANDLED]
    items = sum(row.lane == "D" and not isinstance(row.message, Done) for row in later)
    ended = next((row for row in later if isinstance(row.message, Done | Failed | Cancelled)), None)
    if ended is None:
        return opened.message, opened.handled_us, items, CallEnd.OPEN, None
    timed_out = any(
        isinstance(row.message, Failed)
        and not row.call
        and (row.stage, row.handled_us) == (ended.stage, ended.handled_us)
        for row in rows
    )
    end = {Done: CallEnd.DONE, Failed: CallEnd.FAILED, Cancelled: CallEnd.CANCELLED}[type(ended.message)]
    return opened.message, opened.handled_us, items, CallEnd.FAILED if timed_out else end, ended.handled_us


def events_of(rows: list[Row], late_us: list[int]) -> list[EVENT]:
    """The events of a device that plays later than planned, by one of `late_us` for each start of audio."""
    told, late = list[EVENT](), (late_us[i % len(late_us)] for i in count())
    for row in rows:
        if isinstance(row.message, PlaybackStarted):
            us = next(late)
            told.append((row.message.at_us + us, BEGAN, f"epoch={row.epoch} clause=0 late_us={us}"))
        elif isinstance(row.message, Silence):
            told.append((row.message.at_us + next(late), ENDED, ""))
        elif isinstance(row.message, ReplyPlayed):
            told.append((row.handled_us + next(late), ENDED, ""))
    return sorted(told)


@settings(max_examples=100, deadline=None)
@given(
    conversation=anything,
    late_us=st.lists(st.integers(0, 19_000), min_size=1, max_size=5),
    ahead_us=st.integers(-250_000, 250_000),
)
def test_it_does_not_matter_when_the_device_told_of_its_sound(
    conversation: Conversation, late_us: list[int], ahead_us: int
) -> None:
    """In a live session, rows come up to 250 ms later than the events of the device."""
    rows, layout = journal(conversation)
    events = events_of(rows, late_us)
    figures, waiting = Figures(layout), [*events]
    for row in rows:
        while waiting and waiting[0][0] <= row.handled_us + ahead_us:
            figures.event(*waiting.pop(0))
        figures.rows([row])
    for event in waiting:
        figures.event(*event)
    assert figures.report() == measure(rows, plan=layout, events=events)


def test_the_device_s_own_times_take_the_place_of_the_planned_ones() -> None:
    session = run(pipeline())
    planned = measure(session.rows, plan=session.plan, voiced=session.reference)
    popped = measure(session.rows, plan=session.plan, voiced=session.reference, events=events_of(session.rows, [7_000]))
    for before, after in zip(planned.turns, popped.turns, strict=True):
        assert before.ttfa_us is not None
        assert after.ttfa_us == before.ttfa_us + 7_000 == sum(after.parts_us or ())
    (held,), (silent,) = planned.interrupts, popped.interrupts
    assert silent.decision_to_silence_us == held.decision_to_silence_us + 7_000
    assert silent.speech_to_silence_us == (held.speech_to_silence_us or 0) + 7_000


@pytest.mark.parametrize("detail", ["", "epoch=1", "epoch=x late_us=1", "late_us=3 clause=1"])
def test_what_a_device_tells_wrongly_counts_as_not_told(detail: str) -> None:
    session = run(pipeline())
    told = measure(session.rows, plan=session.plan, events=[(2_000_000, BEGAN, detail)])
    assert told == measure(session.rows, plan=session.plan)


def test_of_a_call_that_failed_it_is_known_why() -> None:
    failing = run(pipeline("{at: 280ms, lasts: 820ms}", tts="fail: true"))
    (turn,) = [over for _, over in followed(failing.rows, layout_of(failing.plan)) if isinstance(over, TurnRecord)]
    assert turn.end is TurnEnd.ERROR
    *_, (call) = turn.calls.values()
    assert call.end is CallEnd.FAILED
    assert call.what in turn.fault


# -- speech ------------------------------------------------------------------------------------------------------------

LAYOUT = Layout((("mic", "mic"), ("vad", "vad"), ("asr", "asr"), ("gate", "gate"), ("llm", "llm")), ())


def at_gate(*told: tuple[int, Message]) -> list[Row]:
    return [
        Row("gate", n, "asr", n, at_ms * 1000, at_ms * 1000, 0, 0, message, Fate.HANDLED)
        for n, (at_ms, message) in enumerate(told, 1)
    ]


def release(at_ms: int, turn: int = 1) -> Row:
    return Row(
        "llm", turn, "gate", 1, at_ms * 1000, at_ms * 1000, turn, turn, Utterance(turn, "Yes.", ""), Fate.HANDLED
    )


def test_speech_without_words_is_handed_out_at_once_and_alone() -> None:
    rows = at_gate((60, SpeechStarted(0)), (500, EndOfUtterance(1, 5)), (600, Final("", 1)))
    ((at_us, speech),) = followed(rows, LAYOUT)
    assert isinstance(speech, SpeechRecord)
    assert (at_us, speech.began_us, speech.final_us, speech.text) == (600_000, 60_000, 600_000, "")


def test_transcripts_find_their_own_speech_also_when_they_come_late_or_never() -> None:
    rows = at_gate(
        (60, SpeechStarted(0)),
        (500, EndOfUtterance(1, 5)),
        (700, SpeechStarted(30)),
        (900, EndOfUtterance(2, 40)),
        (950, SpeechStarted(45)),
        (1000, Final("Second.", 2)),
        (1400, EndOfUtterance(3, 60)),
        (1500, Final("Third.", 3)),
    )
    ((_, turn),) = followed([*rows, release(1500)], LAYOUT)
    assert isinstance(turn, TurnRecord)
    assert [(speech.began_us, speech.text) for speech in turn.speech] == [
        (60_000, ""),
        (700_000, "Second."),
        (950_000, "Third."),
    ]


def test_however_long_somebody_talks_in_vain_no_more_than_a_handful_is_kept() -> None:
    talk = [
        message
        for n in range(1, 500)
        for message in (
            (1000 * n, SpeechStarted(n)),
            (1000 * n + 100, Partial("well")),
            (1000 * n + 500, EndOfUtterance(n, n)),
        )
    ]
    assert len(followed(at_gate(*talk), LAYOUT)) <= 32
