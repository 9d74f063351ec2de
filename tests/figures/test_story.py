"""What a page shows of a session, lane by lane, and the spans that a viewer of traces shows."""

from __future__ import annotations

from collections.abc import Iterable

from flowkit.figures.follower import Follower
from flowkit.figures.layout import layout_of
from flowkit.figures.sounded import sounded
from flowkit.figures.spans import SpanPlan, spans_of
from flowkit.figures.story import LaneMark, Span, Story, story_of
from tests.trace.sessions import PARIS, Session, pipeline, run


def story(session: Session) -> Story:
    layout = layout_of(session.plan)
    return story_of(session.rows, layout, sounded(session.rows, layout), session.reference)


def lane(told: Story, lane: str, turn: int) -> list[Span]:
    return sorted((s for s in told.spans if (s.lane, s.turn) == (lane, turn)), key=lambda span: span.begin_us)


def marks(told: Story, *whats: str) -> list[LaneMark]:
    return sorted((mark for mark in told.marks if mark.what in whats), key=lambda mark: mark.at_us)


def spans(session: Session) -> list[SpanPlan]:
    follower = Follower(layout_of(session.plan))
    over = [ended for row in session.rows for ended in follower.row(row)] + [*follower.finish()]
    return [span for ended in over for span in spans_of(ended)]


def named(found: Iterable[SpanPlan], name: str) -> list[SpanPlan]:
    return [span for span in found if span.name == name]


def test_a_turn_lane_by_lane() -> None:
    told = story(run(pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris. That is it.",))))
    (user,), (vad,), (asr,), (gate,), (llm,) = (lane(told, name, 1) for name in ("user", "vad", "asr", "gate", "llm"))
    assert (user.begin_us, user.end_us) == (280_000, 1_100_000)
    assert (vad.begin_us, vad.end_us) == (340_000, 1_500_000)
    assert (asr.begin_us, asr.end_us, asr.text) == (1_500_000, 1_580_000, "What is the capital of France?")
    assert (gate.begin_us, gate.end_us) == (1_500_000, 1_580_000)
    assert (llm.begin_us, llm.text) == (1_580_000, "Paris. That is it.")
    for name in ("chunker", "tts", "playback"):
        assert [span.text for span in lane(told, name, 1)] == ["Paris.", "That is it."], name
    first, last = lane(told, "chunker", 1)
    assert first.end_us == last.begin_us, "the next clause is filled from the cut on"
    assert last.end_us == llm.end_us


def test_what_was_interrupted_is_marked_and_so_is_the_hold_before() -> None:
    told = story(run(pipeline()))
    assert [(mark.what, mark.at_us, mark.turn) for mark in marks(told, "hold", "interrupt")] == [
        ("hold", 2_840_000, 1),
        ("interrupt", 2_960_000, 1),
    ]
    said = lane(told, "tts", 1)
    assert [span.fate for span in said] == [*[""] * (len(said) - 1), "interrupted"]
    assert said[-1].end_us == 2_960_000
    assert PARIS.startswith(lane(told, "playback", 1)[0].text)


def test_a_hold_that_is_withdrawn_interrupts_nothing() -> None:
    cough = "{at: 280ms, lasts: 820ms}, {at: 2780ms, lasts: 80ms}"
    told = story(run(pipeline(cough, heard=("What is it?", ""), vad="speech_for: 200ms")))
    assert [mark.what for mark in marks(told, "hold", "resume", "interrupt")] == ["hold", "resume"]
    assert not [span for span in told.spans if span.fate]
    assert {span.turn for span in told.spans if span.lane == "vad"} == {1, 0}, "it belongs to no turn"


def test_speech_without_words_belongs_to_the_turn_that_follows() -> None:
    session = run(pipeline("{at: 280ms, lasts: 300ms}, {at: 2s, lasts: 800ms}", heard=("", "Hello?")))
    told = story(session)
    assert [(span.begin_us, span.end_us) for span in lane(told, "user", 1)] == [
        (280_000, 580_000),
        (2_000_000, 2_800_000),
    ]
    first, second = named(spans(session), "speech_to_text")
    assert (first.turn, second.turn) == (0, 1)


def test_failures_are_told_with_their_reason() -> None:
    session = run(pipeline("{at: 280ms, lasts: 820ms}", tts="fail: true"))
    failed = marks(story(session), "failed")
    assert failed
    assert {(mark.lane, mark.turn) for mark in failed} == {("tts", 1)}
    (turn,) = named(spans(session), "invoke_agent")
    assert turn.attributes["flowkit.end_reason"] == "error"
    assert turn.error
    assert {span.error for span in named(spans(session), "text_to_speech")} == {mark.text for mark in failed}


def test_spans_hold_each_other() -> None:
    found = spans(run(pipeline()))
    turns = {span.turn: span for span in named(found, "invoke_agent")}
    assert [turn.attributes["flowkit.end_reason"] for turn in turns.values()] == ["interrupted", "completed"]
    for span in found:
        assert turns[span.turn].begin_us <= span.begin_us <= span.end_us <= turns[span.turn].end_us
    cut_off = [span for span in named(found, "text_to_speech") if span.attributes.get("flowkit.cancelled")]
    assert [span.turn for span in cut_off] == [1]
    assert all(span.attributes["flowkit.items"] for span in named(found, "chat"))
