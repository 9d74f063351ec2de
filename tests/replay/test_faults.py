"""Faults in what a recording's providers answer: how they are written, what they do, and what is assumed after them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from flowkit.config.faults import Action, BadFault, InjectedFault, Law, faults_of, parse_fault
from flowkit.config.problems import InvalidConfig
from flowkit.errors import UsageError
from flowkit.figures.report import Report
from flowkit.messages import Final, Token, ToolOutcome
from flowkit.replay.predict import predict
from flowkit.replay.simulate import Replayed, simulate
from flowkit.testing.session_machine import pipeline_of
from flowkit.testing.sessions import heap_session
from flowkit.testing.strategies.conversations import Conversation, conversations
from flowkit.trace.reader import Trace, read_trace
from tests.fidelity.world import trace_of
from tests.trace.sessions import PARIS, pipeline, planned, run

KEPT = Path(__file__).resolve().parents[2] / "traces"


# -- how they are written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("llm: fail", InjectedFault("llm", Action.FAIL)),
        (
            "llm: fail after 3 tokens in turn 2",
            InjectedFault("llm", Action.FAIL, "tokens", after=3, turns=(2,)),
        ),
        ("tts : stall after 200ms", InjectedFault("tts", Action.STALL, after_us=200_000)),
        ("asr: drop partials", InjectedFault("asr", Action.DROP, "partials")),
        (
            "asr: drop 2 partials after 1 partial in turns 3, 4,5",
            InjectedFault("asr", Action.DROP, "partials", 2, 1, turns=(3, 4, 5)),
        ),
        ("llm: double 1 token", InjectedFault("llm", Action.DOUBLE, "tokens", 1)),
        ("tts: slow by 300ms", InjectedFault("tts", Action.SLOW, law=Law(300_000, 300_000))),
        (
            "tts: slow by 200ms..1s in turn 1",
            InjectedFault("tts", Action.SLOW, law=Law(200_000, 1_000_000), turns=(1,)),
        ),
        ("llm: slow by about 1s", InjectedFault("llm", Action.SLOW, law=Law(1_000_000, 1_000_000, about=True))),
        ("llm: slow by 2.5x", InjectedFault("llm", Action.SLOW, law=Law(factor=2.5))),
        ('book: fail "no \\"table\\""', InjectedFault("book", Action.FAIL, text='no "table"')),
        ('book: say "table 7" in turn 1', InjectedFault("book", Action.SAY, text="table 7", turns=(1,))),
    ],
)
def test_a_fault_is_read(text: str, fault: InjectedFault) -> None:
    found = parse_fault(text)
    assert found.written == text
    assert found == InjectedFault(**{name: getattr(fault, name) for name in fault.__slots__} | {"written": text})


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("llm fail", "column 1: a fault begins with a stage or a tool and a colon", "such as 'llm: fail in turn 2'"),
        ("llm: fial", "column 6: unknown fault 'fial'", "did you mean 'fail'?"),
        ("llm:", "column 5: no fault", "faults: double, drop, fail, say, slow, stall"),
        ("llm: fail after 3", "column 18: no items", "items: finals, items, outcomes"),
        ("llm: fail after 3 tokenz", "column 19: unknown items 'tokenz'", "did you mean 'tokens'?"),
        ("llm: fail after 3 tokens in turn two", "column 34: 'two' is no number of a turn", "such as 'in turn 2'"),
        ("llm: fail after three", "column 17: 'three' is no delay", "300ms"),
        ("llm: fail in 2", "column 14: expected 'turns'", "such as 'in turn 2'"),
        ("llm: fail 3 tokens", "column 11: did not expect '3'", "'after 3 items'"),
        ("llm: fail after 0 tokens", "column 17: '0' is no number from 1 on", "such as 3"),
        ("llm: drop after 300ms", "column 11: unknown items 'after'", "items: "),
        ("llm: drop 2 tokens after 300ms", "column 26: drop counts items", "such as 'after 3 items'"),
        (
            "asr: drop partials after 2 finals",
            "column 28: counts finals and is about partials",
            "after so many partials",
        ),
        ("tts: slow", "column 10: expected 'by'", "such as 'slow by 300ms'"),
        ("tts: slow by 300", "column 14: '300' is no delay: a duration needs a unit", "200ms..600ms"),
        ("tts: slow by 600ms..200ms", "column 14: 200ms is less than 600ms", "200ms..600ms"),
        ("tts: slow by 300ms after 2 items", "column 20: did not expect 'after'", "'in turn 2'"),
        ("book: say table", "column 11: expected a text in double quotes", 'such as "table 7"'),
        ('book: fail "table', "column 12: expected a text in double quotes", 'such as "table 7"'),
    ],
)
def test_what_is_no_fault_is_told_with_its_place(text: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        faults_of([text])
    assert str(error.value).startswith(f"--fault {text!r}: {what}")
    assert hint in error.value.hint


WORDS = [
    "llm",
    ":",
    "fail",
    "slow",
    "by",
    "after",
    "in",
    "turn",
    "turns",
    "3",
    ",",
    "tokens",
    '"',
    '"a"',
    "300ms",
    "..",
    "2x",
    " ",
]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=20))
def test_any_text_is_a_fault_or_a_bad_one(text: str) -> None:
    fault = None
    with suppress(BadFault):
        fault = parse_fault(text)
    assert fault is None or parse_fault(fault.written) == fault


# -- what they do ------------------------------------------------------------------------------------------------------

THREE = pipeline(
    "{at: 280ms, lasts: 820ms}, {at: 10s, lasts: 1s}, {at: 14s, lasts: 600ms}",
    heard=("What is the capital of France?", "And of Spain?", "And of Italy?"),
    replies=(PARIS, "Madrid is its capital. It lies in the middle.", "Rome."),
)


@pytest.fixture(scope="module")
def three() -> Trace:
    before = run(THREE)
    return trace_of(before.plan, THREE, before.rows, reason="input_ended")


def faulty(trace: Trace, *faults: str) -> Replayed:
    return simulate(trace, faults=faults_of(faults))


def ends(report: Report) -> list[str]:
    return [turn.end_reason for turn in report.turns]


def tokens(replayed: Replayed, turn: int) -> list[str]:
    rows = (row for row in replayed.rows if row.stage == "llm" and row.turn == turn)
    return [row.message.text for row in rows if isinstance(row.message, Token)]


def test_a_call_fails_in_its_turn_and_after_its_tokens(three: Trace) -> None:
    before, replayed = simulate(three), faulty(three, 'llm: fail "it is gone" after 3 tokens in turn 2')
    assert ends(replayed.report) == ["completed", "error", "completed"]
    assert tokens(replayed, 2) == tokens(before, 2)[:3]
    assert tokens(replayed, 3) == tokens(before, 3)
    assert any("it is gone" in str(row.message) for row in replayed.rows)


def test_a_call_stalls_and_a_timeout_ends_it(three: Trace) -> None:
    replayed = faulty(three, "llm: stall after 2 tokens in turn 1")
    assert len(tokens(replayed, 1)) == 2
    assert ends(replayed.report)[0] != "completed"
    soon = faulty(three, "llm: stall after 185ms in turn 1")
    assert 0 < len(tokens(soon, 1)) < 3, "by the time since its request"


def test_items_are_dropped_and_doubled(three: Trace) -> None:
    all_of = tokens(simulate(three), 2)
    dropped = faulty(three, "llm: drop 2 tokens after 1 token in turn 2")
    assert tokens(dropped, 2) == [all_of[0], *all_of[3:]]
    doubled = faulty(three, "llm: double 1 token after 1 token in turn 2")
    assert tokens(doubled, 2) == [all_of[0], all_of[1], all_of[1], *all_of[2:]]
    assert tokens(doubled, 1) == tokens(simulate(three), 1)


def test_a_transcript_that_does_not_come_loses_its_turn_alone(three: Trace) -> None:
    replayed = faulty(three, "asr: drop finals in turn 2")
    heard = [row.message.text for row in replayed.rows if row.stage == "gate" and isinstance(row.message, Final)]
    assert heard == ["What is the capital of France?", "And of Italy?"]
    assert "turns 2 and 3 of the recording are predicted as turn 2" in replayed.report.notices


def test_a_provider_is_slow_by_a_law(three: Trace) -> None:
    before = [turn.ttfa_us or 0 for turn in simulate(three).report.turns]

    def later(law: str) -> list[int]:
        found = [turn.ttfa_us or 0 for turn in faulty(three, f"tts: slow by {law}").report.turns]
        return [now - then for then, now in zip(before, found, strict=True)]

    assert later("300ms") == [300_000] * 3
    assert later("2x") == pytest.approx([110_000] * 3, abs=20_000), "the voice begins after 110 ms"
    drawn = later("100ms..900ms")
    assert len(set(drawn)) == 3, "each call by another time"
    assert all(80_000 <= us <= 920_000 for us in drawn)
    assert drawn == later("100ms..900ms"), "the same on every run"
    assert len(set(later("about 300ms"))) == 3
    assert later("300ms in turn 2") == [0, 300_000, 0]


def test_a_tool_fails_says_something_else_or_never_answers() -> None:
    trace = read_trace(KEPT / "tools.jsonl")
    name = simulate(trace).report.tools[0].name

    def outcome(fault: str) -> tuple[str, str]:
        replayed = faulty(trace, f"{name}: {fault}")
        first = next(tool for tool in replayed.report.tools if tool.name == name)
        return first.status, first.content

    assert outcome('fail "all taken"') == ("error", "all taken")
    assert outcome('say "table 7"') == ("result", "table 7")
    assert outcome("stall")[0] == "timeout"
    assert outcome("drop outcomes")[0] == "timeout"
    before, slow = simulate(trace), faulty(trace, "tools: slow by 700ms")
    came = [
        next(row.handled_us for row in ran.rows if isinstance(row.message, ToolOutcome) and row.call)
        for ran in (before, slow)
    ]
    assert came[1] - came[0] == 700_000


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("lm: fail", "no stage 'lm' has a provider, and no tool has this name"),
        ("chunker: fail", "no stage 'chunker' has a provider"),
        ("vad: fail", "a stage of kind vad can only be slow"),
        ("llm: drop pieces", "llm gives no pieces"),
        ('llm: say "No."', "only a tool can say something else"),
        ("llm: fail in turn 9", "'llm: fail in turn 9' hits nothing in a session of 3 turns"),
        ("llm: fail after 999 tokens", "hits nothing"),
    ],
)
def test_a_fault_that_can_do_nothing_is_refused(three: Trace, fault: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        faulty(three, fault)


# -- what is assumed after them ----------------------------------------------------------------------------------------


def test_a_report_says_what_is_assumed_after_the_fault(three: Trace) -> None:
    found = predict(three, faults=faults_of(["llm: fail in turn 2"]))
    assert [turn.assumed for turn in found.report.turns] == [False, True, True]
    assert "injected: llm: fail in turn 2 (turn 2)" in found.report.notices
    known = found.report.to_json()
    assert [turn.get("assumed", False) for turn in known["turns"]] == [False, True, True]
    assert known["injected"] == [{"fault": "llm: fail in turn 2", "turns": [2]}]
    assert known["outlook"]["manifest"]["injected"] == ["llm: fail in turn 2 (turn 2)"]
    assert any("from turn 2 on" in line for line in known["outlook"]["manifest"]["assumed"])


def test_a_law_is_drawn_anew_in_each_world(three: Trace) -> None:
    found = predict(three, faults=faults_of(["tts: slow by 100ms..900ms"])).report.outlook
    assert found is not None
    assert found.worlds == 20
    low, high = found.this.ttfa_p95.low, found.this.ttfa_p95.high
    assert low is not None
    assert high is not None
    assert high - low > 100_000


ANY = [
    f"{stage}: {what}{turn}"
    for stage, item in (("asr", "transcripts"), ("llm", "tokens"), ("tts", "pieces"))
    for what in ("fail", f"stall after 1 {item[:-1]}", f"drop {item}", f"double {item}", "slow by 60ms..300ms")
    for turn in ("", " in turn 2")
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversations(), st.sampled_from(ANY))
def test_what_comes_before_a_fault_stays(conversation: Conversation, fault: str) -> None:
    try:
        plan = planned(pipeline_of(conversation))
    except InvalidConfig:
        reject()
    engine = heap_session(plan)
    assume(engine.finished is not None and not engine.finished.startswith("failed"))
    trace = trace_of(plan, pipeline_of(conversation), engine.journal.rows, reason=engine.finished)
    before = simulate(trace, frame_by_frame=True).report
    try:
        after = faulty(trace, fault).report
    except UsageError:  # it hits nothing
        reject()
    told = next(notice for notice in after.notices if notice.startswith("injected: "))
    since = int(told.rpartition("(turn")[2].strip("s )").partition(",")[0])
    for then, now in zip(before.turns, after.turns, strict=False):
        if now.turn < since - 1:  # the turn before may be cut short by the speech of the next one
            assert now == then
