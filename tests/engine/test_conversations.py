"""A thousand random conversations: both pumps give the same journal, and every promise is kept.

They are split over several tests, so that pytest's workers share them.
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from flowkit.engine import Engine, Fate, Row
from flowkit.messages import Ask, Audio, Credit, Fault, Play, Utterance
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import check
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations, interruptions

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
PARTS = 8
EACH = 1_000 if DEEP else 112
INTERRUPTED = 1_000 if DEEP else 104
ALIKE = ("llm", "chunker", "tts", "speaker", "gate")


def session_property(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Settings for a property of whole sessions, which are slow to draw and slower to run."""
    return settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def seeded(part: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """In CI each part has its own fixed seed. The profile `deep` draws new examples each time."""
    return (lambda test: test) if DEEP else seed(part)


def difference(ours: Engine, theirs: Engine) -> str:
    """The first row in which two journals differ; empty if they are equal."""
    a, b = ours.journal.rows, theirs.journal.rows
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return f"row {i}:\n  {x}\n  {y}"
    return "" if len(a) == len(b) else f"{len(a)} rows against {len(b)}: {(a[len(b) :] or b[len(a) :])[0]}"


def judge(conversation: Conversation) -> None:
    """Run it on both pumps, on the live one with a task per call.

    Both sessions keep every promise, and the journals are equal.
    """
    plan = scripted_plan(**conversation)
    on_heap, live = Evidence(plan), Evidence(plan)
    ours, theirs = heap_session(plan, on_heap), trio_session(plan, live, inline=False)
    check(on_heap)
    check(live)
    assert difference(ours, theirs) == ""
    assert ours.finished == theirs.finished
    assert ours.journal.digest() == theirs.journal.digest()
    assert difference(ours, trio_session(plan)) == "", "with inline calls run in place"


@pytest.mark.parametrize("part", range(PARTS))
def test_any_conversation_is_the_same_on_both_pumps_and_keeps_every_promise(part: int) -> None:
    @seeded(part)
    @session_property(EACH)
    @given(conversation=conversations(), random=st.random_module())
    def each(conversation: Conversation, random: object) -> None:
        judge(conversation)

    each()


@session_property(INTERRUPTED)
@given(pair=interruptions(), random=st.random_module())
def test_the_turn_after_an_interrupt_runs_as_in_a_fresh_session(
    pair: tuple[Conversation, Conversation], random: object
) -> None:
    whole, alone = pair
    interrupted, fresh = heap_session(scripted_plan(**whole)), heap_session(scripted_plan(**alone))
    assert last_turn(interrupted) == last_turn(fresh)
    judge(whole)


def last_turn(engine: Engine) -> list[tuple[object, ...]]:
    """The rows from the last release on, without the number of earlier turns."""
    rows = engine.journal.rows
    released = max(i for i, row in enumerate(rows) if isinstance(row.message, Utterance))
    return [alike(row) for row in rows[released:] if row.stage in ALIKE and not isinstance(row.message, Credit)]


def alike(row: Row) -> tuple[object, ...]:
    message: object = row.message
    if isinstance(message, Utterance | Ask):  # turn and past are others
        message = type(message)
    elif isinstance(message, Play):
        message = message.of_epoch(0)
    assert row.fate is not Fate.STALE
    return row.stage, row.cause_stage, row.sent_us, row.handled_us, row.lane, message, row.fate


@pytest.mark.parametrize("tokens", [("a", "a", ".", "a"), ("See", " example", ".", "com", " for more. ", "Bye.")])
def test_a_revoked_clause_breaks_no_promise(tokens: tuple[str, ...]) -> None:
    judge(
        {
            "mic": {"speech": [{"at": "0ms", "lasts": "200ms"}]},
            "asr": {"utterances": ("Tell me.",)},
            "llm": {"replies": ({"text": "", "tokens": tokens},)},
            "chunker": {"speculate_end": True},
        }
    )


WORDLESS = ("...!", "\N{EM DASH}", "***", "?!", "<br>", "\N{PARTY POPPER}", "." * 200, "[](http://a.example)")


@pytest.mark.parametrize("whole", ["clause", "reply"])
@pytest.mark.parametrize("marks", WORDLESS)
def test_a_reply_without_words_is_neither_spoken_nor_heard(marks: str, whole: str) -> None:
    conversation = {
        "mic": {"speech": [{"at": "0ms", "lasts": "160ms"}, {"at": "3s", "lasts": "160ms"}]},
        "asr": {"utterances": ("One.", "Two.")},
        "llm": {"replies": ({"text": marks}, {"text": "Yes, of course."})},
        "chunker": {"mode": whole},
    }
    judge(conversation)
    engine = heap_session(scripted_plan(**conversation))
    rows = engine.journal.rows
    asked = [row.message for row in rows if isinstance(row.message, Ask)]
    assert [(ask.text, ask.history) for ask in asked] == [("One.", ()), ("One.", ()), ("Two.", ())]
    assert [row.message.stage for row in rows if isinstance(row.message, Fault)] == ["llm"]
    assert {row.turn for row in rows if isinstance(row.message, Audio)} == {2}
