"""Answers that are begun early, in whole sessions: what is released is what a patient pipeline would have answered, and what is
given up leaves nothing. And bugs planted one at a time."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config import load
from flowkit.engine import Fate
from flowkit.figures.metrics import measure
from flowkit.figures.report import EarlyReport
from flowkit.messages import Ask, Exchange, Heard, Hold, Interrupt, Message, Released, ToolCall, Utterance
from flowkit.plan.graph import Plan
from flowkit.plan.resolve import resolve
from flowkit.plan.show import show
from flowkit.replay.heap import HeapPump
from flowkit.replay.simulate import simulate
from flowkit.report.plain import summary
from flowkit.stages.base import Actions, Emit
from flowkit.stages.gate import Gate
from flowkit.stages.gate_state import GateState
from flowkit.stages.llm import LlmState, LlmTurn
from flowkit.stages.past import Numbered
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import Broken, check
from flowkit.testing.sessions import heap_session, scripted_plan, scripts_of, trio_session
from tests.fidelity.world import trace_of

TEXTS = ("What is it?", "Book a table for two.", "I was wondering if you open", "Yes.", "And on Sunday too please")
REPLIES = [
    {"to": "What is it?", "text": "It is a house. It has a door."},
    {"to": "Book a table for two.", "text": "One moment.", "calls": [{"name": "book"}]},
    {"to": "Yes.", "text": "Good."},
    {"text": "I see. What else?"},
    {"after": "book", "text": "It is booked."},
]
TOOLS: Any = [{"call": "bistro:book", "effects": "once"}]


def talk(preempt: dict[str, Any] | None, said: tuple[str, ...] = ("What is it?",), **more: Any) -> Plan:
    """The user says each text in 900 ms, every 8 s unless `at` says when."""
    starts = more.pop("at", [100 + 8_000 * n for n in range(len(said))])
    stages: dict[str, Any] = {
        "mic": {"speech": [{"at": f"{at}ms", "lasts": "900ms"} for at in starts], "length": f"{starts[-1] + 7_000}ms"},
        "vad": {"end": more.pop("end", "400ms")},
        "asr": {"utterances": said, "partial_every": "150ms", **more.pop("asr", {})},
        "turn": {"likelihood": more.pop("likelihood", (0.9,))},
        "llm": {"replies": REPLIES, "preempt": preempt},
        "tools": {"tools": TOOLS, "outcomes": [{"tool": "book", "says": "done", "after": "100ms"}]},
        "tts": {"per_char": "20ms"},
    }
    return scripted_plan(**stages)


EAGER = {"at": 0.7, "stable_for": "80ms", "max_tries": 3}


def answers(plan: Plan) -> tuple[list[Ask], list[str], list[str]]:
    """What the model was asked and was not given up, what was heard of it, and what was called."""
    rows = heap_session(plan).journal.rows
    given_up = {row.epoch - 1 for row in rows if isinstance(row.message, Interrupt) and row.message.early}
    asked = [row.message for row in rows if isinstance(row.message, Ask) and row.epoch not in given_up]
    heard = [row.message.text for row in rows if row.stage == "gate" and isinstance(row.message, Heard)]
    called = [row.message.name for row in rows if row.stage == "tools" and isinstance(row.message, ToolCall)]
    return asked, heard, called


def of(plan: Plan, kind: type[Message]) -> int:
    rows = heap_session(plan).journal.rows
    return sum(row.stage == "llm" and isinstance(row.message, kind) and row.fate is Fate.HANDLED for row in rows)


# -- what it brings ----------------------------------------------------------------------------------------------------


def early_of(plan: Plan) -> tuple[int, EarlyReport | None]:
    turn = measure(heap_session(plan).journal.rows, plan=plan).turns[0]
    assert turn.ttfa_us is not None
    return turn.ttfa_us, turn.early


def test_words_that_were_complete_are_answered_as_soon_as_the_turn_is_over() -> None:
    patient_us, none = early_of(talk(None))
    early_us, ledger = early_of(talk(EAGER, likelihood=(0.1, 0.1, 0.9)))
    assert none is None
    assert ledger is not None
    assert (ledger.tries, ledger.tokens, ledger.characters) == (1, 0, 0)
    assert early_us == 480_000, "400 ms of silence, and the transcript"
    assert ledger.saved_us == pytest.approx(patient_us - early_us, abs=20_000)


def test_a_final_transcript_that_no_partial_foretold_is_answered() -> None:
    """The early answer is given up in the instant in which the turn is released, and takes nothing with it."""
    plan = talk({**EAGER, "stable_for": "0ms"}, asr={"partial_every": "500ms"})
    rows = heap_session(plan).journal.rows
    asked = [
        (row.message.text, row.message.early)
        for row in rows
        if row.stage == "llm" and isinstance(row.message, Utterance)
    ]
    assert asked == [("What", True), ("What is", True), ("What is it?", False)]
    assert not any(isinstance(row.message, Utterance) and row.fate for row in rows), "none is lost"
    assert answers(plan)[1] == ["It is a house.", " It has a door."]
    assert trio_session(plan).journal.digest() == heap_session(plan).journal.digest()


def test_what_is_given_up_is_told() -> None:
    plan = talk({**EAGER, "stable_for": "0ms"}, ("Yes. And on Sunday too please",), likelihood=(0.9, 0.1))
    report = measure(heap_session(talk(None)).journal.rows, plan=talk(None))
    assert "early" not in summary(report)[0]
    report = measure(heap_session(plan).journal.rows, plan=plan)
    ledger = report.turns[0].early
    assert ledger is not None
    assert (ledger.tries, ledger.saved_us) == (1, 0)
    assert report.turns[0].to_json()["preempt"] == ledger.to_json()
    assert "begun early 1x: 0 ms saved" in summary(report)[0]
    assert not report.interrupts


def test_no_more_answers_are_begun_than_the_file_allows() -> None:
    def begun(tries: int) -> int:
        said = ("one two three four five six",)
        plan = talk({"stable_for": "0ms", "max_tries": tries}, said)
        return sum(
            isinstance(row.message, Utterance) and row.message.early
            for row in heap_session(plan).journal.rows
            if row.stage == "llm"
        )

    assert (begun(1), begun(2), begun(3)) == (1, 2, 3)


def test_an_early_answer_that_fails_is_asked_for_again_in_time() -> None:
    plan = scripted_plan(
        mic={"speech": [{"at": "100ms", "lasts": "900ms"}], "length": "5s"},
        asr={"utterances": ("What is it?",), "partial_every": "100ms"},
        turn={"likelihood": (0.1, 0.1, 0.9)},
        llm={"replies": ({"text": "It is", "fail_after": 1},), "preempt": EAGER},
    )
    rows = heap_session(plan).journal.rows
    assert sum(isinstance(row.message, Ask) for row in rows) >= 2
    assert not any(isinstance(row.message, Released) for row in rows)


# -- properties --------------------------------------------------------------------------------------------------------

SAID = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3).map(tuple)
LIKELY = st.lists(st.sampled_from((0.1, 0.6, 0.8, 0.95)), min_size=1, max_size=8).map(tuple)
WISHES = st.fixed_dictionaries(
    {
        "at": st.sampled_from((0.0, 0.7, 0.9)),
        "stable_for": st.sampled_from(("0ms", "70ms", "200ms")),
        "max_tries": st.integers(1, 4),
    }
)


# With few partial transcripts, or late ones, the final one says something new.
LISTENED = st.fixed_dictionaries(
    {"partial_every": st.sampled_from(("80ms", "150ms", "500ms")), "partial_after": st.sampled_from(("50ms", "400ms"))}
)


@settings(max_examples=20)
@given(said=SAID, likely=LIKELY, wish=WISHES, end=st.sampled_from(("200ms", "400ms", "1s")), asr=LISTENED)
def test_what_is_released_is_what_a_patient_pipeline_answers(
    said: Any, likely: Any, wish: Any, end: str, asr: Any
) -> None:
    early = talk(wish, said, likelihood=likely, end=end, asr=asr)
    assert answers(early) == answers(talk(None, said, likelihood=likely, end=end, asr=asr))


@settings(max_examples=15)
@given(
    said=SAID,
    likely=LIKELY,
    wish=WISHES,
    gaps=st.lists(st.integers(1_000, 4_000), min_size=3, max_size=3),
    final=st.sampled_from(("0ms", "80ms", "700ms")),
)
def test_every_promise_is_kept_whenever_the_user_speaks(
    said: Any, likely: Any, wish: Any, gaps: Any, final: str
) -> None:
    at = [100 + sum(gaps[:n]) for n in range(len(said))]
    evidence = Evidence(plan := talk(wish, said, likelihood=likely, at=at, asr={"final_after": final}))
    heap_session(plan, evidence)
    check(evidence)


def test_both_pumps_agree() -> None:
    for said in (TEXTS[:2], ("I was wondering if you open",)):
        plan = talk({**EAGER, "stable_for": "0ms"}, said, at=[100, 2_300][: len(said)])
        assert trio_session(plan).journal.rows == heap_session(plan).journal.rows


# -- planted bugs ------------------------------------------------------------------------------------------------------

Monkey = pytest.MonkeyPatch
CASES = [
    ({**EAGER, "stable_for": "0ms"}, TEXTS, (0.9,)),
    (EAGER, ("Book a table for two.", "Yes."), (0.1, 0.1, 0.1, 0.9)),
    ({**EAGER, "max_tries": 1, "stable_for": "0ms"}, ("Book a table for two.", "Yes."), (0.9,)),
]


def differs() -> bool:
    """Whether a session shows what the properties forbid."""
    for wish, said, likely in CASES:
        plan = talk(wish, said, likelihood=likely)
        try:
            heap_session(plan, evidence := Evidence(plan))
            check(evidence)
            if answers(plan) != answers(talk(None, said, likelihood=likely)):
                return True
        except (Broken, AssertionError):
            return True
    return False


def any_text_is_released(monkeypatch: Monkey) -> None:
    def give_up(self: Gate, state: GateState) -> list[Any]:
        return []

    monkeypatch.setattr(Gate, "_give_up", give_up)


def calls_are_not_withheld(monkeypatch: Monkey) -> None:
    done = LlmTurn._done

    def forgetful(self: LlmTurn, state: LlmState) -> Actions:
        before, state.before = state.before, None
        actions = done(self, state)
        state.before = before
        return actions

    monkeypatch.setattr(LlmTurn, "_done", forgetful)


def what_was_given_up_is_remembered(monkeypatch: Monkey) -> None:
    def reset(self: LlmTurn, state: LlmState) -> LlmState:
        kept = self._kept(state)
        if state.before is not None and state.asked is not None:
            kept.past = kept.past.ended(Numbered(state.asked.turn, Exchange(state.asked.text, state.text)))
        return kept

    monkeypatch.setattr(LlmTurn, "reset", reset)


def without(kind: type[Message]) -> Callable[[Monkey], None]:
    """The gate does not send it."""

    def plant(monkeypatch: Monkey) -> None:
        for name in ("_ask_early", "_release"):
            right = getattr(Gate, name)

            def wrong(self: Gate, state: GateState, right: Any = right) -> list[Any]:
                return [a for a in right(self, state) if not (isinstance(a, Emit) and isinstance(a.message, kind))]

            monkeypatch.setattr(Gate, name, wrong)

    return plant


def the_turn_is_not_numbered_anew(monkeypatch: Monkey) -> None:
    """The question that is asked early is taken for asked."""
    monkeypatch.setattr("flowkit.stages.gate.if_ended", lambda state: state)


@pytest.mark.parametrize(
    "plant",
    [
        any_text_is_released,
        calls_are_not_withheld,
        what_was_given_up_is_remembered,
        without(Hold),
        without(Released),
        the_turn_is_not_numbered_anew,
    ],
    ids=["any text", "calls", "remembered", "no hold", "no release", "numbers"],
)
def test_planted_bugs_are_found(plant: Callable[[Monkey], None], monkeypatch: Monkey) -> None:
    assert not differs()
    plant(monkeypatch)
    assert differs()


# -- settings that were not tried --------------------------------------------------------------------------------------

FILE = """flowkit: 1
stages:
  - {kind: mic, provider: scripted, speech: [{at: 100ms, lasts: 900ms}], length: 5s}
  - {kind: vad, provider: scripted, end: {complete: 400ms}}
  - {kind: asr, provider: scripted, utterances: [What is it?], partial_every: 150ms}
  - {kind: turn, provider: scripted, likelihood: [0.1, 0.1, 0.9]}
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: It is a house.}]}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker}
"""


def test_a_replay_says_what_settings_would_have_saved_that_were_not_tried() -> None:
    config = load("patient.yaml", text=FILE)
    plan = resolve(config)
    pump = HeapPump(plan, scripts_of(plan))
    pump.run(until_us=20_000_000)
    trace = trace_of(plan, show(config, plan), pump.engine.journal.rows, reason=pump.engine.finished)
    said = ("stages.llm.preempt={stable_for: 50ms}",)
    true = resolve(load("early.yaml", text=FILE, overrides=said))
    really = measure(heap_session(true).journal.rows, plan=true)
    predicted = simulate(trace, overrides=said).report
    assert [turn.early for turn in predicted.turns] == [turn.early for turn in really.turns]
    assert [turn.ttfa_us for turn in predicted.turns] == [turn.ttfa_us for turn in really.turns]
    assert all(turn.early is not None and turn.early.saved_us > 100_000 for turn in predicted.turns)
