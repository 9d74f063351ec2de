"""Tests of agents with tools: expectations on calls, outcomes that are injected, into scripted and recorded sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.config import load, read
from flowkit.config.tests import Assertion
from flowkit.figures.report import Report
from flowkit.plan import resolve
from flowkit.plan.show import show
from flowkit.report.outcome import Outcome
from flowkit.testing.suite import collect, outcome_of
from flowkit.testing.suite.session import run_case
from flowkit.testing.suite.words import broken
from tests.trace.recording import record
from tests.trace.tool_sessions import CUT_OFF, ONCE, bistro


def project(folder: Path, tests: str, speech: str = ONCE, *, real: bool = False) -> Path:
    """A pipeline file with these tests. `real`: its tools are those of the file, which no test may call."""
    text = bistro(speech)
    path = folder / "bistro.yaml"
    path.write_text((text.partition("  - kind: tools")[0] if real else text) + "tests:\n" + tests, encoding="utf-8")
    return path


def case(*expect: str, inject: str = "", more: str = "") -> str:
    return f"  - name: a\n    inject: [{inject}]\n    expect: [{', '.join(expect)}]\n{more}"


def outcome(path: Path) -> Outcome:
    return outcome_of(collect([str(path)]).items[0])


def report(path: Path) -> Report:
    return run_case(path, load(path).top.tests[0]).report


HOLDS = (
    "{tool: book}",
    "{tool: book, called: once}",
    "{tool: book, called: 1, arguments: {people: 2}}",
    "{tool: book, called: never, arguments: {people: 3}}",
    "{tool: book, called: never, arguments: {time: '19:30'}}",
    "{tool: look, outcome: error}",
    "{tool: look, called: never, outcome: result}",
    "{turn: 1, tool: look, arguments: {}}",
    "{turn: 1, what: tools, equals: [look, book]}",
    "{what: tools, contains: [look, book]}",
    "{what: tools, absent: end_call}",
    "{turn: 1, what: answer, within: 3s}",
)


def test_what_a_session_does_with_its_tools_may_be_expected(tmp_path: Path) -> None:
    assert outcome(project(tmp_path, case(*HOLDS))).findings == ()


@pytest.mark.parametrize(
    ("expect", "what"),
    [
        (
            "{tool: book, called: never}",
            'book was called once, not never (its calls: {"people": 2} gave result table 7)',
        ),
        ("{tool: book, called: 2}", "book was called once, not twice"),
        ("{tool: book, arguments: {people: 3}}", 'book was never called with {"people": 3}, not at least once'),
        ("{turn: 1, tool: book, outcome: timeout}", "turn 1: book was never called with the outcome timeout, not"),
        ("{turn: 2, tool: book}", "turn 2 does not exist: the session has 1"),
        ("{turn: 1, what: tools, equals: [book]}", "turn 1: tools is ['look', 'book'], not ['book']"),
        ("{turn: 1, what: answer, within: 1s}", "turn 1: answer is 2960 ms, not within 1000 ms"),
    ],
)
def test_what_is_not_as_expected_is_told_with_the_calls(tmp_path: Path, expect: str, what: str) -> None:
    [finding] = outcome(project(tmp_path, case(expect))).findings
    assert finding.what.startswith(what)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("expect: [{tool: book, what: turns, equals: 1}]", "needs either what or tool"),
        ("expect: [{equals: 1}]", "needs either what or tool"),
        ("expect: [{tool: book, equals: 1}]", "'equals' is for what"),
        ("expect: [{what: turns, called: once}]", "'called' is for tool"),
        ("expect: [{tool: bok}]", "there is no tool 'bok'"),
        ("inject: [{tool: bok, slow: 1s}], expect: [{what: turns, equals: 1}]", "there is no tool 'bok'"),
        (
            "inject: [{tool: end_call, says: a}], expect: [{what: turns, equals: 1}]",
            "no tool 'end_call' that an outcome",
        ),
        ("inject: [{tool: book}], expect: [{what: turns, equals: 1}]", "needs slow, says or fail"),
        ("inject: [{tool: book, slow: often}], expect: [{what: turns, equals: 1}]", "slow: must be a duration"),
        ("inject: [{tool: book, fail: a, says: b}], expect: [{what: turns, equals: 1}]", "says something or fails"),
        (
            "inject: [{tool: book, says: b, at: 1s}], expect: [{what: turns, equals: 1}]",
            "the other keys are for speech",
        ),
        ("inject: [{fail: a}], expect: [{what: turns, equals: 1}]", "fail is for a tool"),
    ],
)
def test_what_a_test_cannot_mean_is_refused_with_its_place(line: str, what: str) -> None:
    ends = "tools:\n  - {name: end_call, builtin: end_session}"
    text = bistro().replace("tools:", ends, 1) + f"tests: [{{name: a, {line}}}]\n"
    reading = read("bistro.yaml", text=text)
    problems = list(reading.problems)
    if reading.config is not None:
        from flowkit.plan.cases import check_cases

        problems += check_cases(reading.config)
    assert what in "\n".join(map(str, problems))


def test_a_slow_tool_a_failing_one_and_one_that_says_something_else(tmp_path: Path) -> None:
    plain = {call.name: call for call in report(project(tmp_path, case("{tool: book}"))).tools}
    slow = {
        call.name: call
        for call in report(project(tmp_path, case("{tool: book}", inject="{tool: book, slow: 2s}"))).tools
    }
    assert (plain["book"].took_us, slow["book"].took_us) == (1_500_000, 3_500_000)
    assert slow["look"].took_us == plain["look"].took_us
    failing = report(project(tmp_path, case("{tool: book}", inject="{tool: book, fail: 'no more tables'}")))
    assert [(call.name, call.status, call.content) for call in failing.tools][1:] == [
        ("book", "error", "no more tables")
    ]
    other = report(project(tmp_path, case("{tool: book}", inject="{tool: look, says: plenty, slow: 100ms}")))
    look = next(call for call in other.tools if call.name == "look")
    assert (look.status, look.content, look.took_us) == ("result", "plenty", 800_000)


def test_a_tool_that_is_too_slow_times_out(tmp_path: Path) -> None:
    path = project(tmp_path, case("{tool: book, called: once, outcome: timeout}", inject="{tool: book, slow: 1min}"))
    assert outcome(path).findings == ()


def test_a_test_calls_no_function_of_the_file(tmp_path: Path) -> None:
    """`bistro.tables` does not exist: importing it would fail."""
    path = project(tmp_path, case("{tool: book, outcome: result}", inject="{tool: book, says: 'table 9'}"), real=True)
    assert outcome(path).findings == ()
    assert [call.content for call in report(path).tools] == ["ok", "table 9"]


def recorded(folder: Path) -> Path:
    path = project(folder, case("{tool: book}"), CUT_OFF)
    config = load(path)
    plan = resolve(config)
    record(folder / "a.jsonl", plan, config=show(config, plan), audio=False)
    return path


def test_into_a_recorded_session(tmp_path: Path) -> None:
    recorded(tmp_path)
    expect = "{tool: book, outcome: error}", "{turn: 1, what: end_reason, equals: interrupted}"
    path = project(tmp_path, case(*expect, inject="{tool: book, fail: full}", more="    trace: a.jsonl\n"), CUT_OFF)
    assert outcome(path).findings == ()


def test_expectations_of_a_trace(tmp_path: Path) -> None:
    recorded(tmp_path)
    expect = tmp_path / "a.expect.yaml"
    expect.write_text("expect:\n  - {tool: book, called: once}\n  - {tool: end_call, called: never}\n")
    found = outcome_of(next(item for item in collect([str(tmp_path)]).items if item.path.endswith("a.jsonl")))
    [finding] = found.findings
    assert (finding.line, finding.what) == (3, "there is no tool 'end_call': book, look")


def test_arguments_that_are_no_json_match_no_expected_ones() -> None:
    from flowkit.figures.report import ToolReport

    calls = (ToolReport(1, 0, "call_1", "book", '{"people', "error", "not valid JSON", 0),)
    told = broken(Assertion(tool="book", arguments={"people": 2}), Report(tools=calls))
    assert told.startswith('book was never called with {"people": 2}')
    assert broken(Assertion(tool="book", called="once"), Report(tools=calls)) == ""


def test_a_filler_that_would_nearly_always_be_said_is_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`book` takes 1500 ms in the recording, and its filler comes after 500 ms."""
    recorded(tmp_path)
    (tmp_path / "a.expect.yaml").write_text("expect: [{tool: book}]\n")
    assert main(["test", str(tmp_path / "a.jsonl")]) == 0
    told = "a.jsonl: book usually takes 1500 ms (1 call), so its filler after 500ms is said nearly every time"
    assert told in capsys.readouterr().err
    (tmp_path / "a.expect.yaml").write_text("set: [stages.tools.tools.0.say_after.after=2s]\nexpect: [{tool: book}]\n")
    assert main(["test", str(tmp_path / "a.jsonl")]) == 0
    assert "usually takes" not in capsys.readouterr().err
