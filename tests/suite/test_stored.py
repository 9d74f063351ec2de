"""Stored traces: approved once, compared exactly, with the line that caused a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.report.outcome import Change, Status
from flowkit.stages.chunking import Chunking
from flowkit.testing.suite.stored import stored_outcome, telling
from tests.suite.stage import project


def approved(folder: Path, name: str = "a", **stages: str) -> Path:
    """A project whose trace is approved. Returns the pipeline's path."""
    path = project(folder, name, **stages)
    assert main(["approve", str(folder / f"{name}.jsonl"), "--pipeline", str(path), "-y"]) == 0
    return path


def edit(path: Path, before: str, after: str) -> None:
    """Change a file, as a team would."""
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def test_what_was_approved_passes_and_leaves_nothing(tmp_path: Path) -> None:
    approved(tmp_path)
    outcome = stored_outcome(tmp_path / "a.jsonl")
    assert (outcome.status, outcome.findings, outcome.changes) == (Status.PASSED, (), ())
    assert outcome.level == "simulated"
    assert not (tmp_path / "a.new").exists()


def test_a_longer_silence_is_named_by_line_turn_and_part(tmp_path: Path) -> None:
    path = approved(tmp_path)
    edit(path, "{kind: vad, provider: scripted}", "{kind: vad, provider: scripted, end: 600ms}")
    outcome = stored_outcome(tmp_path / "a.jsonl")
    assert outcome.status is Status.FAILED
    line = 1 + path.read_text("utf-8").splitlines().index("  - {kind: vad, provider: scripted, end: 600ms}")
    assert {(finding.file, finding.line) for finding in outcome.findings} == {(str(path), line)}
    first = outcome.findings[0].what
    assert first.startswith("turn 1: ttfa: ")
    assert "endpointing: 400 ms -> 600 ms (+200 ms)" in first
    assert first.endswith("(by stages.vad.end: 600ms)")
    assert {c.delta_ms for c in outcome.changes if c.what in ("ttfa", "endpointing")} == {200.0}
    assert outcome.again == f"flowkit test {tmp_path / 'a.jsonl'}"
    assert "600" in (tmp_path / "a.new").read_text("utf-8")


def test_two_settings_that_changed_print_what_they_did_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = approved(tmp_path)
    edit(path, "{kind: vad, provider: scripted}", "{kind: vad, provider: scripted, end: 600ms, start: 80ms}")
    capsys.readouterr()
    assert main(["test", str(tmp_path / "a.jsonl")]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {path}:")]
    assert [": turn " in line for line in lines] == [True, False] * (len(lines) // 2)
    assert lines[1].endswith(": the same, by stages.vad.start: 80ms")


@pytest.mark.parametrize("since", ["", ", comma_after: 6"])
def test_other_code_is_shown_by_its_first_row_with_any_settings_that_were_approved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    path = project(tmp_path, "a")
    edit(path, "{kind: chunker}", "{kind: chunker, max_tokens: 9}")
    assert main(["approve", str(tmp_path / "a.jsonl"), "--pipeline", str(path), "-y"]) == 0
    edit(path, "max_tokens: 9", "max_tokens: 9" + since)
    monkeypatch.setattr(Chunking, "step", lambda self, state, message, now_us: ())
    outcome = stored_outcome(tmp_path / "a.jsonl")
    assert (outcome.status, outcome.level) == (Status.FAILED, "what_if")
    shown = any("first difference, at stage 'chunker'" in told for told in outcome.notices)
    assert shown is not bool(since)


def test_times_that_hardly_differ_are_told_only_if_nothing_else_does() -> None:
    cause, noise = Change(1, "ttfa", "1 ms", "9 ms", 8), Change(1, "playback_start", "7.043 ms", "6.303 ms", -0.74)
    text, gone = Change(1, "user", "Hi", "Hello"), Change(1, "ttfa", "1 ms", "none")
    assert telling([cause, noise, text, gone]) == [cause, text, gone]
    assert telling([noise]) == [noise]


def test_a_comma_threshold_shows_which_clauses_of_which_turns(tmp_path: Path) -> None:
    reply = "Well, there are many towns, and all of them are lovely, but one is the best. It is Paris."
    path = approved(tmp_path, replies=(reply, "Madrid."))
    edit(path, "{kind: chunker}", "{kind: chunker, comma_after: 4}")
    outcome = stored_outcome(tmp_path / "a.jsonl")
    clauses = [change for change in outcome.changes if change.what == "clauses"]
    assert [change.turn for change in clauses] == [1]
    assert "[comma]" in clauses[0].now
    assert not [change for change in outcome.changes if change.what == "ttfa"]
    assert outcome.level == "what_if"
    assert all("stages.chunker.comma_after: 4" in finding.what for finding in outcome.findings)


def test_what_a_longer_first_clause_costs_is_marked_as_modelled(tmp_path: Path) -> None:
    reply = "Well, there are many towns, and all of them are lovely. It is Paris."
    path = approved(tmp_path, replies=(reply, "Madrid."), tts="synthesis_per_char: 2ms")
    edit(path, "{kind: chunker}", "{kind: chunker, first: {min_tokens: 12}}")
    outcome = stored_outcome(tmp_path / "a.jsonl")
    delays = {(c.turn, c.what): c for c in outcome.changes if c.delta_ms is not None}
    assert {turn for turn, _ in delays} == {1}
    assert delays[1, "ttfa"].modelled
    # Six more tokens at 12 ms each, and the longer clause's own first audio.
    assert delays[1, "clause_fill"].delta_ms == 72
    assert 80 <= (delays[1, "ttfa"].delta_ms or 0) <= 180
    assert "modelled" in str(delays[1, "ttfa"])


def test_approving_accepts_keeps_what_people_wrote_and_remembers_the_settings(tmp_path: Path) -> None:
    path = approved(tmp_path)
    expectations = tmp_path / "a.expect.yaml"
    edit(expectations, "approved:", "# the team's own\nexpect:\n- {turn: 1, what: agent, contains: Paris}\napproved:")
    edit(path, "{kind: vad, provider: scripted}", "{kind: vad, provider: scripted, end: 500ms}")
    assert main(["approve", str(tmp_path), "--dry-run"]) == 1
    assert main(["approve", str(tmp_path / "a.jsonl"), "-y"]) == 0
    text = expectations.read_text("utf-8")
    assert "# the team's own" in text
    assert "stages.vad.end: 500ms" in text
    assert stored_outcome(tmp_path / "a.jsonl").status is Status.PASSED
    edit(path, "end: 500ms", "end: 400ms")
    [*findings] = stored_outcome(tmp_path / "a.jsonl").findings
    assert all("stages.vad.end: as recorded" in finding.what for finding in findings)


def test_approve_never_runs_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    approved(tmp_path)
    monkeypatch.setenv("CI", "true")
    before = (tmp_path / "a.expect.yaml").read_bytes()
    assert main(["approve", str(tmp_path / "a.jsonl"), "-y"]) == 2
    assert "approve does not run in CI" in capsys.readouterr().err
    assert (tmp_path / "a.expect.yaml").read_bytes() == before


def test_expectations_on_turns_that_do_not_exist_are_named(tmp_path: Path) -> None:
    approved(tmp_path)
    edit(tmp_path / "a.expect.yaml", "approved:", "expect:\n- {turn: 7, what: ttfa, within: 900ms}\napproved:")
    outcome = stored_outcome(tmp_path / "a.jsonl")
    assert [str(f) for f in outcome.findings] == [
        f"{tmp_path / 'a.expect.yaml'}:3: turn 7 does not exist: the session has 2"
    ]


def test_a_budget_that_is_not_kept_is_named_at_its_line(tmp_path: Path) -> None:
    path = approved(tmp_path)
    path.write_text(path.read_text("utf-8") + "budgets:\n  ttfa: {p95: 700ms}\n", encoding="utf-8")
    outcome = stored_outcome(tmp_path / "a.jsonl")
    assert outcome.status is Status.FAILED
    assert outcome.findings[0].what.startswith("budget ttfa.p95")
    assert outcome.findings[0].line == len(path.read_text("utf-8").splitlines())


def test_a_configuration_that_no_longer_loads_cannot_be_judged(tmp_path: Path) -> None:
    path = approved(tmp_path)
    edit(path, "kind: chunker", "kind: chunker, max_tokens: 0")
    outcome = stored_outcome(tmp_path / "a.jsonl")
    assert outcome.status is Status.ERROR
    assert (outcome.findings[0].file, "FK110" in outcome.findings[0].what) == (str(path), True)
    assert main(["test", str(tmp_path / "a.jsonl")]) == 2


def test_a_change_that_no_recording_can_answer_is_refused(tmp_path: Path) -> None:
    path = approved(tmp_path)
    edit(path, "{kind: tts, provider: scripted}", "{kind: tts, provider: scripted, per_char: 10ms}")
    outcome = stored_outcome(tmp_path / "a.jsonl")
    assert outcome.status is Status.ERROR
    assert "cannot replay with another stages.tts.per_char" in outcome.findings[0].what


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("expect: [{turn: 1, what: ttfb, within: 1s}]\n", "did you mean 'ttfa'?"),
        ("expect: [{turn: 1, what: ttfa, within: 900}]\n", "needs a unit"),
        ("expect: [{turn: 1, what: ttfa}]\n", "exactly one of"),
        ("expects: []\n", "unknown key 'expects'"),
        ("approved: {turns: 3}\n", "approve"),
        ("- a\n", "mapping"),
        ("a: [\n", "FK004"),
    ],
)
def test_wrong_expectations_are_told_with_their_place(
    tmp_path: Path, text: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, "a")
    (tmp_path / "a.expect.yaml").write_text(text, encoding="utf-8")
    assert main(["test", str(tmp_path / "a.jsonl")]) == 2
    said = capsys.readouterr().out
    assert code in said
    assert f"{tmp_path / 'a.expect.yaml'}:1" in said


def test_order_and_parallelism_do_not_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, *"abcd")
    assert main(["approve", str(tmp_path), "--pipeline", str(path), "-y"]) == 0
    edit(path, "{kind: vad, provider: scripted}", "{kind: vad, provider: scripted, end: 440ms}")

    def results(*args: str) -> list[object]:
        capsys.readouterr()
        assert main(["test", "--format", "json", *args]) == 1
        tests = json.loads(capsys.readouterr().out)["tests"]
        return sorted(({**test, "wall_ms": 0} for test in tests), key=lambda test: str(test["name"]))

    names = [str(tmp_path / f"{name}.jsonl") for name in "abcd"]
    assert results("-j", "1", *names) == results("-j", "3", *reversed(names))
