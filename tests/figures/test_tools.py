"""The figures of tool calls against the scripted timings: the part of TTFA, the wait for the answer, calls and their spans."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from flowkit.config.budgets import PARTS
from flowkit.engine import Row
from flowkit.figures.follower import Follower
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import measure
from flowkit.figures.report import Report, TurnReport
from flowkit.figures.sounded import sounded
from flowkit.figures.spans import SpanPlan, spans_of
from flowkit.figures.story import LANES, Story, story_of
from flowkit.messages import ToolCall
from flowkit.plan.graph import Plan
from flowkit.report.plain import summary
from flowkit.report.terminal import lines
from flowkit.testing.sessions import heap_session, scripted_plan
from flowkit.testing.strategies.conversations import Conversation
from flowkit.testing.strategies.tools import tool_conversations

TOKEN_MS, CALLED_MS = 180, 180
FILLER = {"after": "200ms", "text": "One moment."}


def talk(
    text: str = "",
    *,
    takes: str = "1s",
    filler: bool = True,
    calls: tuple[str, ...] = ("book",),
    after: tuple[dict[str, Any], ...] = ({"after": "book", "text": "Booked."},),
    speech_ms: tuple[int, ...] = (100,),
    without: tuple[str, ...] = (),
    **tool: Any,
) -> Plan:
    """The user asks for something, and the model calls tools. `look` takes 300 ms."""
    said = {"say_after": FILLER} if filler else {}
    return scripted_plan(
        mic={"speech": [{"at": f"{at}ms", "lasts": "300ms"} for at in speech_ms], "length": "6s"},
        vad={"end": "100ms", "speech_for": "40ms"},
        asr={"utterances": ("Book a table.", "And now?")},
        llm={"replies": ({"text": text, "calls": tuple({"name": name} for name in calls)}, *after)},
        tts={"per_char": "20ms"},
        tools={
            "tools": ({"call": "bistro:book", **said, **tool}, {"call": "bistro:look"}),
            "outcomes": ({"tool": "book", "after": takes, "says": "ok"}, {"tool": "look", "after": "300ms"}),
        },
        without=without,
    )


def ran(plan: Plan) -> tuple[list[Row], Report]:
    rows = list(heap_session(plan).journal)
    return rows, measure(rows, plan=plan)


def first(plan: Plan) -> TurnReport:
    return ran(plan)[1].turns[0]


def parts_ms(turn: TurnReport) -> dict[str, float]:
    assert turn.parts_us is not None
    assert sum(turn.parts_us) == turn.ttfa_us
    return {name: us / 1000 for name, us in zip(PARTS, turn.parts_us, strict=True) if us}


BEFORE = {"endpointing": 100, "asr_final": 80}
AFTER = {"tts_first_audio": 110, "playback_start": 10}


def test_a_tool_before_the_first_sound_is_a_part_and_both_requests_are_the_models() -> None:
    turn = first(talk(filler=False))
    assert parts_ms(turn) == {**BEFORE, "llm_first_token": 2 * TOKEN_MS, "tool_wait": 1000, **AFTER}
    assert turn.answer_us == turn.ttfa_us
    assert "answer" not in summary(ran(talk(filler=False))[1])[0]


def test_a_filler_is_the_first_sound_and_the_answer_is_told_apart() -> None:
    turn = first(talk())
    assert parts_ms(turn) == {**BEFORE, "llm_first_token": TOKEN_MS, "tool_wait": 200, **AFTER}
    assert turn.answer_us == 1_660_000
    assert turn.to_json()["answer_ms"] == 1660
    assert "first audio after 680 ms" in summary(ran(talk())[1])[0]
    assert summary(ran(talk())[1])[0].endswith("; answer after 1660 ms")


def test_without_a_chunker_a_filler_is_said_too_and_is_not_the_models_text() -> None:
    turn = first(talk(without=("chunker",)))
    assert parts_ms(turn) == {**BEFORE, "llm_first_token": TOKEN_MS, "tool_wait": 200, **AFTER}
    assert turn.answer_us == 1_660_000
    assert [(clause.text, clause.spoken, clause.reason) for clause in turn.clauses] == [
        ("", "One moment.", "filler"),
        ("Booked.", "Booked.", "token"),
    ]
    assert (turn.agent, turn.heard) == ("Booked.", "Booked.")


def test_a_tool_after_the_first_words_is_no_part() -> None:
    turn = first(talk("Let me see."))
    assert "tool_wait" not in parts_ms(turn)
    assert turn.answer_us is not None
    assert turn.ttfa_us is not None
    assert turn.answer_us > turn.ttfa_us + 1_000_000


def test_a_turn_without_tools_has_no_answer_of_its_own() -> None:
    turn = first(talk("Good-bye.", calls=()))
    assert turn.answer_us is None
    assert "answer_ms" not in turn.to_json()


def test_tools_side_by_side_are_one_wait_and_rounds_are_several() -> None:
    both = first(talk(filler=False, calls=("look", "book"), after=({"after": "look", "text": "Booked."},)))
    assert parts_ms(both)["tool_wait"] == 1000
    rounds: tuple[dict[str, Any], ...] = (
        {"after": "look", "text": "", "calls": ({"name": "book"},)},
        {"after": "book", "text": "Booked."},
    )
    turn = first(talk(filler=False, calls=("look",), after=rounds))
    assert parts_ms(turn)["tool_wait"] == 300 + 1000
    assert parts_ms(turn)["llm_first_token"] == 3 * TOKEN_MS
    said = first(talk(calls=("look",), after=rounds))
    assert parts_ms(said)["tool_wait"] == 300 + 200
    assert parts_ms(said)["llm_first_token"] == 2 * TOKEN_MS


def test_words_that_are_not_spoken_before_the_call_move_no_part() -> None:
    smiling = first(talk("😀", filler=False))
    assert parts_ms(smiling)["tool_wait"] == 1000
    assert parts_ms(smiling)["llm_first_token"] == pytest.approx(2 * TOKEN_MS, abs=12)


def test_a_call_is_reported_with_its_outcome() -> None:
    rows, report = ran(talk())
    (call,) = report.tools
    made = next(row for row in rows if row.stage == "tools" and isinstance(row.message, ToolCall))
    assert (call.t_us, call.took_us) == (made.handled_us, 1_000_000)
    assert report.to_json()["tools"] == [
        {
            "turn": 1,
            "t_ms": made.handled_us / 1000,
            "id": "call_1",
            "name": "book",
            "arguments": "{}",
            "status": "result",
            "content": "ok",
            "took_ms": 1000,
            "interrupted": False,
        }
    ]
    assert "tools" not in ran(talk("Hello.", calls=()))[1].to_json()


def test_a_tool_that_outlives_its_turn_is_reported_with_it() -> None:
    """The user interrupts, and speaks again; the first tool ends while the second turn is under way."""
    _, report = ran(talk(takes="2500ms", speech_ms=(100, 1_300), after=()))
    one, *_ = report.tools
    assert (one.turn, one.status, one.took_us, one.interrupted) == (1, "result", 2_500_000, True)
    assert [turn.turn for turn in report.turns] == sorted(turn.turn for turn in report.turns)
    _, cut = ran(talk(takes="2500ms", speech_ms=(100, 1_300), after=(), on_interrupt="cancel"))
    assert (cut.tools[0].status, cut.tools[0].interrupted) == ("cancelled", True)


def test_a_tool_that_never_ends_is_reported_at_the_end() -> None:
    _, report = ran(talk(takes="1h", timeout="2h"))
    assert [(call.status, call.took_us) for call in report.tools] == [("running", None)]


# -- spans and lanes ---------------------------------------------------------------------------------------------------


def spans(rows: list[Row], plan: Plan) -> list[SpanPlan]:
    follower = Follower(layout_of(plan))
    over = [ended for row in rows for ended in follower.row(row)] + [*follower.finish()]
    return [span for ended in over for span in spans_of(ended)]


def test_a_call_has_a_span_by_the_genai_conventions() -> None:
    plan = talk()
    (span,) = [span for span in spans(ran(plan)[0], plan) if "execute_tool" in span.name]
    assert (span.name, span.turn, span.end_us - span.begin_us, span.error) == ("execute_tool book", 1, 1_000_000, "")
    assert span.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "book",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.call.arguments": "{}",
        "gen_ai.tool.call.result": "ok",
        "flowkit.tool.status": "result",
    }


def test_a_call_that_fails_has_a_span_with_an_error() -> None:
    plan = talk(takes="1h", timeout="600ms")
    (span,) = [span for span in spans(ran(plan)[0], plan) if "execute_tool" in span.name]
    assert (span.attributes["error.type"], span.error) == ("timeout", "book took longer than 600 ms.")


def told(plan: Plan) -> Story:
    rows, _ = ran(plan)
    layout = layout_of(plan)
    return story_of(rows, layout, sounded(rows, layout))


def test_tools_have_a_lane_with_calls_and_fillers() -> None:
    story = told(talk())
    (call,) = [span for span in story.spans if span.lane == "tools"]
    assert (call.turn, call.text, call.fate) == (1, "book {} → result ok", "")
    assert [(mark.what, mark.text) for mark in story.marks if mark.lane == "tools"] == [("filler", "One moment.")]
    assert [span.text for span in story.spans if span.lane == "playback"] == ["One moment.", "Booked."]
    assert story.lanes == LANES
    assert "tools" not in told(talk("Hello.", calls=())).lanes


def test_what_interrupted_or_failed_is_marked_in_the_lane() -> None:
    fates = [
        next(span.fate for span in told(plan).spans if span.lane == "tools")
        for plan in (talk(takes="1h", timeout="600ms"), talk(takes="2500ms", speech_ms=(100, 1_300)))
    ]
    assert fates == ["timeout", "interrupted"]


def test_the_terminals_report_tells_calls_and_the_answer() -> None:
    plan = talk()
    rows, report = ran(plan)
    text = "\n".join(lines(report, rows, layout_of(plan)))
    assert "book {}: result after 1000 ms ok" in text
    assert "tools     " in text
    assert "answer after 1660 ms" in text


# -- random conversations ----------------------------------------------------------------------------------------------


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(conversation=tool_conversations())
def test_parts_add_up_and_every_call_is_reported_once(conversation: Conversation) -> None:
    plan = scripted_plan(**conversation)
    rows, report = ran(plan)
    for turn in report.turns:
        if turn.parts_us is not None:
            assert min(turn.parts_us) >= 0
            assert sum(turn.parts_us) == turn.ttfa_us
        if turn.answer_us is not None:
            assert turn.ttfa_us is not None
            assert turn.answer_us >= turn.ttfa_us
    called = [row.message.id for row in rows if row.stage == "tools" and isinstance(row.message, ToolCall)]
    assert sorted(call.id for call in report.tools) == sorted(called)
    found = [span.attributes["gen_ai.tool.call.id"] for span in spans(rows, plan) if "execute_tool" in span.name]
    assert sorted(map(str, found)) == sorted(called)
    assert [turn.turn for turn in report.turns] == sorted(turn.turn for turn in report.turns)
