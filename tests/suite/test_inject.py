"""Injections into scripted and recorded sessions: a barge-in, another line, a slower provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.config import load
from flowkit.config.budgets import PARTS
from flowkit.config.problems import InvalidConfig
from flowkit.errors import UsageError
from flowkit.testing.suite import collect, outcome_of
from flowkit.testing.suite.session import Ran, run_case
from tests.suite.stage import project

ONE = "{at: 280ms, lasts: 820ms}"
TALK = "Paris is the capital. It is a lovely town on the Seine with many bridges and with many more towers. Come and see it soon."
BARGE_IN = "{speech: 600ms, says: 'Stop that.', answer: 'All right, I am quiet.', after: {turn: 1, event: first_audio, by: 400ms}}"


def case(name: str, *inject: str, expect: str = "{what: turns, at_most: 9}", more: str = "") -> str:
    """A session test as YAML."""
    return f"tests:\n  - name: {name}\n    inject: [{', '.join(inject)}]\n    expect: [{expect}]\n{more}"


def ran(folder: Path, text: str, **stages: str) -> Ran:
    """The session of the one test in the pipeline."""
    path = project(folder, text=text, speech=ONE, replies=(TALK, "Madrid."), **stages)  # type: ignore[arg-type]
    return run_case(path, load(path).top.tests[0])


def test_a_barge_in_relative_to_an_event_interrupts_and_is_answered(tmp_path: Path) -> None:
    report = ran(tmp_path, case("a", BARGE_IN)).report
    assert [(turn.user, turn.end_reason) for turn in report.turns] == [
        ("What is the capital of France?", "interrupted"),
        ("Stop that.", "completed"),
    ]
    assert report.turns[1].agent == "All right, I am quiet."
    [told] = report.interrupts
    began_us = report.turns[0].started_us + (report.turns[0].ttfa_us or 0) + 400_000
    assert told.t_us - began_us == pytest.approx(180_000, abs=60_000)
    assert told.stale_frames == 0
    # The reference detector sees the injected voice: the turn's delay counts from its end.
    assert report.turns[1].ttfa_us is not None
    assert report.turns[1].started_us == pytest.approx(began_us + 600_000, abs=20_000)


def test_a_line_at_a_time_leaves_the_other_answers_where_they_were(tmp_path: Path) -> None:
    line = "{speech: 500ms, says: 'And Rome?', answer: 'Rome it is.', at: 12s}"
    speech = "{at: 280ms, lasts: 820ms}, {at: 20s, lasts: 1s}"
    path = project(tmp_path, text=case("a", line), speech=speech, replies=(TALK, "Madrid."))
    report = run_case(path, load(path).top.tests[0]).report
    assert [turn.agent for turn in report.turns] == [TALK, "Rome it is.", "Madrid."]


def test_a_slower_voice_costs_what_it_is_slower(tmp_path: Path) -> None:
    plain = ran(tmp_path, case("a")).report
    slow = ran(tmp_path, case("a", "{slow: tts, by: 300ms}")).report
    assert (slow.turns[0].ttfa_us or 0) - (plain.turns[0].ttfa_us or 0) == 300_000
    (voice,) = (n for n, part in enumerate(PARTS) if part == "tts_first_audio")
    assert (slow.turns[0].parts_us or ())[voice] - (plain.turns[0].parts_us or ())[voice] == 300_000


def test_injections_build_on_one_another(tmp_path: Path) -> None:
    again = "{speech: 600ms, says: 'No, go on.', answer: 'Fine.', after: {turn: 2, event: first_audio, by: 700ms}}"
    report = ran(tmp_path, case("a", BARGE_IN, again)).report
    assert [turn.user for turn in report.turns][1:] == ["Stop that.", "No, go on."]
    assert [turn.end_reason for turn in report.turns] == ["interrupted", "interrupted", "completed"]


def test_into_a_recorded_session(tmp_path: Path) -> None:
    plain = project(tmp_path, "a", speech=ONE, replies=(TALK, "Madrid."))
    recorded = project(
        tmp_path, speech=ONE, replies=(TALK, "Madrid."), text=case("a", BARGE_IN, more="    trace: a.jsonl\n")
    )
    assert plain == recorded
    report = run_case(recorded, load(recorded).top.tests[0]).report
    assert [turn.end_reason for turn in report.turns] == ["interrupted", "completed"]
    assert report.turns[1].agent == "All right, I am quiet."


@pytest.mark.parametrize(
    ("inject", "what"),
    [
        ("{speech: 1s, says: a, at: 90s}", "comes too late: the session ends"),
        ("{speech: 1s, says: a, after: {turn: 4, event: end}}", "turn 4 has no end"),
        ("{slow: chunker, by: 1s}", "no stage 'chunker' has a provider"),
    ],
)
def test_what_cannot_be_injected_is_refused(tmp_path: Path, inject: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        ran(tmp_path, case("a", inject))


def test_expectations_are_judged_at_their_lines(tmp_path: Path) -> None:
    expect = "{what: interrupts, equals: 1}, {turn: 2, what: agent, contains: loud}"
    path = project(tmp_path, text=case("a", BARGE_IN, expect=expect), speech=ONE, replies=(TALK,))
    outcome = outcome_of(collect([str(path)]).items[0])
    [finding] = outcome.findings
    assert finding.what == "turn 2: agent is 'All right, I am quiet.', without 'loud'"
    assert finding.line == len(path.read_text("utf-8").splitlines())
    assert outcome.again == f"flowkit test {path}::a"


def test_what_was_spoken_may_be_expected(tmp_path: Path) -> None:
    expect = (
        "{turn: 1, what: spoken, equals: Paris it is. Fine.}, {turn: 1, what: agent, equals: '**Paris** it is. Fine.'}"
    )
    path = project(tmp_path, text=case("a", expect=expect), speech=ONE, replies=("**Paris** it is. Fine.",))
    ran = run_case(path, load(path).top.tests[0])
    assert outcome_of(collect([str(path)]).items[0]).findings == ()
    clauses = [clause.to_json() for clause in ran.report.turns[0].clauses]
    assert clauses[0]["spoken"] == "Paris it is."
    assert "spoken" not in clauses[1], "as it is written"


ALIKE = [
    ("{slow: tts, by: 300ms}", "{fault: 'tts: slow by 300ms'}"),
    ("{slow: llm, by: 1s}", "{fault: 'llm: slow by 1s in turn 1'}"),
]


@pytest.mark.parametrize(("keys", "fault"), ALIKE)
@pytest.mark.parametrize("more", ["", "    trace: a.jsonl\n"], ids=["scripted", "recorded"])
def test_a_fault_as_a_text_is_the_same_as_its_keys(tmp_path: Path, keys: str, fault: str, more: str) -> None:
    project(tmp_path, "a", speech=ONE, replies=(TALK, "Madrid."))
    one, other, plain = (ran(tmp_path, case("a", *inject, more=more)).report for inject in ((keys,), (fault,), ()))
    assert one.digest == other.digest != plain.digest


def test_a_faulty_model_in_a_file_of_tests(tmp_path: Path) -> None:
    expect = "{turn: 1, what: end_reason, equals: error}, {turn: 1, what: agent, contains: Paris is the}"
    fault = "{fault: 'llm: fail after 5 tokens in turn 1'}"
    path = project(tmp_path, text=case("a", fault, expect=expect), speech=ONE, replies=(TALK, "Madrid."))
    assert outcome_of(collect([str(path)]).items[0]).findings == ()


@pytest.mark.parametrize(
    ("inject", "what"),
    [
        ("{fault: 'llm: fial'}", "tests[0].inject[0].fault: column 6: unknown fault 'fial' (did you mean 'fail'?"),
        ("{fault: 'llm: fail', by: 1s}", "a fault says everything: remove the other keys"),
    ],
)
def test_a_bad_fault_has_its_place_in_the_file(tmp_path: Path, inject: str, what: str) -> None:
    path = project(tmp_path, text=case("a", inject), speech=ONE)
    with pytest.raises(InvalidConfig) as error:
        load(path)
    assert what in str(error.value)
    assert f"p.yaml:{len(path.read_text('utf-8').splitlines()) - 1}:" in str(error.value)


def test_a_fault_that_never_comes_fails_the_test(tmp_path: Path) -> None:
    path = project(tmp_path, text=case("a", "{fault: 'llm: fail in turn 7'}"), speech=ONE)
    [finding] = outcome_of(collect([str(path)]).items[0]).findings
    assert "the fault 'llm: fail in turn 7' hits nothing in a session of 1 turn" in finding.what
