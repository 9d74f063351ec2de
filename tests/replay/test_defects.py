"""Predictions that were wrong once, each as a session in which it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from flowkit.figures.metrics import measure
from flowkit.figures.report import Report
from flowkit.messages import Done, EndOfUtterance, Final, Frames, Message, Partial, Token
from flowkit.plan.show import show
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.changes import other_turns
from flowkit.replay.heap import HeapPump
from flowkit.replay.simulate import simulate
from flowkit.testing.sessions import scripts_of
from flowkit.trace.reader import Trace
from tests.fidelity.world import trace_of
from tests.replay.test_rerun import recorded
from tests.trace.sessions import PARIS, pipeline, planned, run


def ends(report: Report) -> list[str]:
    return [turn.end_reason for turn in report.turns]


def ran(text: str, **scripts: Script) -> Trace:
    """A session with other providers in place of some scripted ones, and its trace."""
    from flowkit.config import load

    plan = planned(text)
    pump = HeapPump(plan, scripts_of(plan) | scripts)
    pump.run(until_us=60_000_000)
    return trace_of(
        plan, show(load("test.yaml", text=text), plan), pump.engine.journal.rows, reason=pump.engine.finished
    )


# -- the user reacts to what is heard ----------------------------------------------------------------------------------


def test_a_pause_within_a_question_does_not_move_with_the_release(tmp_path: Path) -> None:
    """The user paused for 600 ms and went on, as one does. A silence of 700 ms hears one question, and not two."""
    speech = "{at: 300ms, lasts: 800ms}, {at: 1700ms, lasts: 600ms}"
    said, answers = ("What is the capital", "of France?"), ("Well.", "Paris.")
    before = recorded(tmp_path, pipeline(speech, heard=said, replies=answers))
    assert len(simulate(before).report.turns) == 2
    longer = simulate(before, overrides=("stages.vad.end=700ms",)).report
    assert [turn.user for turn in longer.turns] == ["What is the capital of France?"]
    assert any("turns 1 and 2 of the recording are predicted as turn 1" in line for line in longer.notices)


def test_a_session_that_was_closed_is_closed_as_long_after_the_last_answer(tmp_path: Path) -> None:
    """Else what a slower agent says last would be lost."""
    from flowkit.engine import Stimulus
    from flowkit.messages import Shutdown

    text = pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris.",), mic="length: 60s")
    plan = planned(text)
    pump = HeapPump(plan, scripts_of(plan))
    pump.run(until_us=3_500_000)
    gate = [stage.kind for stage in plan.stages].index("gate")
    pump.engine.advance(3_500_000, [Stimulus(gate, 0, Shutdown("closed"), 3_500_000)])
    trace = trace_of(plan, text, pump.engine.journal.rows, reason="closed")
    before = simulate(trace).report
    after = simulate(trace, overrides=("stages.vad.end=3s",)).report
    assert ends(before) == ends(after) == ["completed"]
    same = simulate(trace, overrides=("stages.gate.join_words=201",))
    assert same.report.digest == trace.digest


# -- a reply that was cut off is not over ------------------------------------------------------------------------------


def test_a_reply_that_was_cut_off_is_unfinished(tmp_path: Path) -> None:
    """The model was still writing when the user interrupted. Heard a little later, it is still interrupted."""
    slow = pipeline(
        "{at: 280ms, lasts: 820ms}, {at: 2400ms, lasts: 900ms}", replies=(PARIS, "Madrid."), llm="per_token: 150ms"
    )
    before = recorded(tmp_path, slow)
    assert ends(simulate(before).report) == ["interrupted", "completed"]
    later = simulate(before, overrides=("stages.vad.speech_for=200ms",)).report
    assert ends(later) == ["interrupted", "completed"]
    assert later.turns[0].heard.rstrip(". ") in PARIS


def test_what_a_reply_would_have_said_is_unknown_and_said_to_be(tmp_path: Path) -> None:
    text = pipeline(
        "{at: 280ms, lasts: 820ms}, {at: 2400ms, lasts: 900ms}",
        replies=(PARIS, "Madrid is the capital of Spain."),
        llm="per_token: 150ms",
    )
    before = recorded(tmp_path, text)
    report = simulate(before, overrides=("stages.gate.min_words=9",)).report
    assert report.turns[0].end_reason == "completed"
    assert "xxx" in report.turns[0].agent
    assert "assumed: turn 1: how the reply goes on is unknown, because it was cut off" in report.notices


# -- final transcripts -------------------------------------------------------------------------------------------------


class Ahead(Script):
    """An ASR that decodes as soon as the user has been quiet for 240 ms, which takes it 100 ms."""

    def __init__(self, text: str, *, partials: bool) -> None:
        self._text, self._partials = text, partials
        self._newest = self._quiet = 0

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if isinstance(item, Frames):
            self._quiet = 0 if item.pcm.strip(b"\0") else self._quiet + 1
            self._newest = item.index
            if self._partials and self._quiet == 12 and item.index > 30:
                return ((100_000, Partial(self._text)),)
        elif isinstance(item, EndOfUtterance):
            silent_us = (self._newest - item.last_voiced) * 20_000
            return ((max(0, 340_000 - silent_us), Final(self._text, item.utterance)),)
        return ()


@pytest.mark.parametrize("partials", [False, True])
@pytest.mark.parametrize(
    ("then", "now"), [("300ms", "700ms"), ("320ms", "260ms"), ("500ms", "400ms"), ("500ms", "260ms")]
)
def test_an_asr_that_decodes_ahead_is_bounded_by_when_it_was_ready(then: str, now: str, partials: bool) -> None:
    speech, said = "{at: 280ms, lasts: 820ms}", "What is it?"
    text = pipeline(speech, replies=("Paris.",), vad=f"end: {then}")
    if not partials and then != "500ms":
        pytest.skip("nothing tells it from an ASR that begins at the end of the utterance")
    before = ran(text, asr=Ahead(said, partials=partials))
    truth = ran(pipeline(speech, replies=("Paris.",), vad=f"end: {now}"), asr=Ahead(said, partials=partials))
    (predicted,) = simulate(before, overrides=(f"stages.vad.end={now}",)).report.turns
    (true,) = measure(truth.rows(), plan=truth.layout).turns
    assert predicted.ttfa_us is not None
    assert true.ttfa_us is not None
    late_us = predicted.ttfa_us - true.ttfa_us
    # Without a partial transcript it is known only that it was ready when the utterance ended.
    assert 0 <= late_us <= (0 if partials else 160_000)


class Timed(Script):
    """An ASR that is ready so long after the end of each utterance, or, `ahead`, after its last voiced frame. It gives no
    partial transcripts."""

    def __init__(self, times_ms: Iterable[int], *, ahead: bool) -> None:
        self._times_ms, self._ahead = iter(times_ms), ahead
        self._newest = 0

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if isinstance(item, Frames):
            self._newest = item.index
        elif isinstance(item, EndOfUtterance):
            ready_us = next(self._times_ms) * 1000
            passed_us = (self._newest - item.last_voiced) * 20_000 if self._ahead else 0
            return ((max(0, ready_us - passed_us), Final(f"Question {item.utterance}?", item.utterance)),)
        return ()


@pytest.mark.parametrize("now", ["260ms", "300ms", "700ms"])
@pytest.mark.parametrize(
    ("times_ms", "ahead"),
    [
        ((370, 420, 400, 480, 350, 410), True),
        ((330, 310, 350, 390, 340, 360), True),
        ((500, 410, 440, 405, 460, 425), True),
        ((80, 100, 120, 90, 70, 110), False),
        ((300, 200, 250, 160, 350, 220), False),
    ],
)
def test_when_an_asr_began_shows_in_how_its_delays_vary(times_ms: tuple[int, ...], ahead: bool, now: str) -> None:
    speech = ", ".join(f"{{at: {280 + 4000 * place}ms, lasts: 820ms}}" for place in range(len(times_ms)))
    before, truth = (
        ran(pipeline(speech, replies=("Paris.",), vad=f"end: {end}"), asr=Timed(times_ms, ahead=ahead))
        for end in ("400ms", now)
    )
    predicted = simulate(before, overrides=(f"stages.vad.end={now}",)).report.turns
    true = measure(truth.rows(), plan=truth.layout).turns
    assert len(predicted) == len(true) == len(times_ms)
    errors_us = [abs((a.ttfa_us or 0) - (b.ttfa_us or 0)) for a, b in zip(predicted, true, strict=True)]
    assert sorted(errors_us)[-2] <= 80_000, errors_us


def test_a_question_that_is_cut_in_two_is_asked_whole_again_if_it_is_joined() -> None:
    """The first part has the words so far, the second one the rest: together they are what was recorded."""
    speech = "{at: 300ms, lasts: 900ms}, {at: 1520ms, lasts: 800ms}"
    said = ("What is the capital of France?",)
    before = run(pipeline(speech, heard=said, replies=("Paris.",), asr="partial_every: 200ms"))
    trace = trace_of(before.plan, pipeline(speech, heard=said, replies=("Paris.",), asr="partial_every: 200ms"),
                     before.rows, reason="input_ended")  # fmt: skip
    shorter = simulate(trace, overrides=("stages.vad.end=200ms",)).report
    assert [turn.user for turn in shorter.turns][-1] == said[0]
    assert any("turn 1 of the recording is predicted as turns 1 and 2" in line for line in shorter.notices)
    assert shorter.turns[-1].agent == "Paris."


# -- no turn is lost ---------------------------------------------------------------------------------------------------


class Deciding(Script):
    """An ASR that decides by itself where an utterance ends, so that the pipeline needs no VAD."""

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        number = {70: 1, 215: 2}.get(item.index) if isinstance(item, Frames) else None
        return ((30_000, Final(f"Question {number}?", number)),) if number else ()


def test_an_asr_that_decides_by_itself_keeps_its_turns() -> None:
    text = pipeline(
        "{at: 280ms, lasts: 820ms}, {at: 3500ms, lasts: 700ms}",
        replies=("Paris.", "Madrid."),
        gate="release: asr_final",
    )
    text = "\n".join(line for line in text.splitlines() if "kind: vad" not in line)
    trace = ran(text, asr=Deciding())
    live = measure(trace.rows(), plan=trace.layout)
    assert len(live.turns) == 2
    assert [turn.user for turn in simulate(trace).report.turns] == ["Question 1?", "Question 2?"]
    assert simulate(trace, overrides=("stages.gate.join_words=201",)).report.digest == trace.digest


class Breaking(Script):
    """An LLM that gives a word and then nothing more."""

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=self._words)

    def _words(self) -> Iterator[tuple[int, Message]]:
        yield 100_000, Token(0, "Well,")
        yield 60_000_000, Done()


def test_a_turn_without_an_answer_is_named() -> None:
    """Speech that interrupted the reply does not any more, and nobody answers it."""
    text = pipeline("{at: 280ms, lasts: 820ms}, {at: 2780ms, lasts: 300ms}")
    before = run(text)
    trace = trace_of(before.plan, text, before.rows, reason="input_ended")
    assert len(simulate(trace).report.turns) == 2
    report = simulate(trace, overrides=("stages.vad.speech_for=500ms",)).report
    assert len(report.turns) == 1
    assert any(
        "turn 2 of the recording is not predicted: 'And of Spain?' does not get an answer" in n for n in report.notices
    )


def test_an_end_of_turn_predictor_does_not_make_the_agent_speak_for_ever() -> None:
    """It hears of the reply's progress as the gate does. The user waits for an answer to end, which ends only once."""
    text = pipeline(
        "{at: 280ms, lasts: 820ms}, {at: 10s, lasts: 1s}", vad="end: {complete: 200ms}", turn="likelihood: [0.9]"
    )
    before = run(text)
    trace = trace_of(before.plan, text, before.rows, reason="input_ended")
    nothing = simulate(trace, overrides=("stages.gate.join_words=201",)).report
    assert [turn.user for turn in nothing.turns] == ["What is the capital of France?", "And of Spain?"]
    assert nothing.digest == trace.digest


def test_a_typed_turn_without_an_answer_is_named() -> None:
    """It has no speech by which it could be found in the replay."""
    then = {1: [(5, 9)], 2: [], 3: []}
    users = {1: "Hello.", 2: "And of Spain?", 3: ""}
    lines = list(other_turns(then, users, {1: [(5, 9)], 2: []}, {1: "Hello.", 2: ""}))
    assert lines == ["turn 2 of the recording is not predicted: 'And of Spain?' does not get an answer"]
    assert list(other_turns(then, users, then, {1: "Hello.", 2: "Well. And of Spain?", 3: ""})) == []
