"""Interruptions: the vote of duration, level and words, in each state of the agent, and what a backchannel does."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit import phrases
from flowkit.config import load
from flowkit.messages import (
    Acted,
    Heard,
    Interrupt,
    Message,
    Partial,
    Probability,
    Resume,
    SpeechLasted,
    SpeechStarted,
    SpeechStopped,
    Timer,
    Utterance,
)
from flowkit.plan.graph import Plan
from flowkit.plan.resolve import draw
from flowkit.stages.base import Emit
from flowkit.stages.endpointing import Endpointing
from flowkit.stages.interrupting import Interrupting, lengths
from flowkit.stages.turn import Turn
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session
from tests.stages.test_gate import AUDIBLE, PLAYED, RELEASE, STARTED, Driven, ended, kinds, released, said, speaking

VOICE, LASTED = SpeechStarted(50), SpeechLasted(59)
WITHDRAWN = ["SetTimer", "Resume"]
LISTED: dict[str, Any] = {"ignore": phrases.backchannels({"en"})}


def stopped(frame: int = 80) -> SpeechStopped:
    return SpeechStopped(frame)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Mhm.", "Okay.", "Uh-huh, right.", "Yeah, yeah,", "Ha ha!", "I see."])
def test_a_backchannel_gives_the_reply_back_as_soon_as_its_words_are_known(text: str) -> None:
    gate = speaking(**LISTED)
    assert kinds(gate(VOICE)) == ["Hold", "SetTimer"]
    assert gate(LASTED, stopped()) == []
    assert kinds(gate(Partial(text, 84))) == WITHDRAWN
    assert gate(AUDIBLE, ended(2), said(text, 2)) == []
    assert gate.turn is Turn.SPEAKING


@pytest.mark.parametrize("text", ["Okay, wait.", "Yeah, but I", "Right, no, stop.", "Mhm and then"])
def test_words_that_only_begin_like_a_backchannel_interrupt(text: str) -> None:
    gate = speaking(**LISTED)
    gate(VOICE, LASTED)
    assert "Interrupt" in kinds(gate(Partial(text, 80)))
    at_its_end = speaking(**LISTED)
    at_its_end(VOICE, LASTED, stopped(), ended(2))
    assert "Interrupt" in kinds(at_its_end(said(text, 2)))


def test_a_partial_transcript_of_a_voice_that_still_pauses_may_be_a_beginning() -> None:
    gate = speaking(**LISTED)
    assert gate(VOICE, LASTED, Partial("Okay", 80)) == []
    gate(stopped(), SpeechStarted(90))
    assert gate(Partial("Okay", 84)) == [], "the voice is back, and may say more"
    assert "Interrupt" in kinds(gate(Partial("Okay, wait.", 110)))


def test_the_first_half_of_a_short_word_does_not_interrupt() -> None:
    gate = speaking(**LISTED)
    assert gate(VOICE, LASTED, Partial("I'm k", 70)) == [], "it covers 420 ms"
    assert kinds(gate(stopped(76), Partial("Okay.", 80))) == WITHDRAWN


def test_a_word_that_answers_what_the_agent_asks_is_no_backchannel() -> None:
    gate = speaking(**LISTED)
    gate(VOICE, LASTED, stopped(), ended(2), said("Yes.", 2), AUDIBLE, Heard(1, "Shall I book it?", 10, 10))
    assert released(gate(PLAYED)) == [Utterance(2, "Yes.", "Shall I book it?")]


def test_a_backchannel_in_an_earlier_clause_answers_nothing() -> None:
    gate = speaking(**LISTED)
    gate(VOICE, LASTED, stopped(), ended(2), said("Yes.", 2), AUDIBLE, Heard(0, "I see it.", 9, 9))
    gate(Heard(1, "Shall I book it?", 10, 10))
    assert released(gate(PLAYED)) == []


# -- duration and level ------------------------------------------------------------------------------------------------


def test_a_voice_that_lasts_interrupts_whatever_its_words() -> None:
    gate = speaking(**LISTED)
    assert gate(VOICE, LASTED, Partial("Yeah, yeah,", 90)) == []
    assert "Interrupt" in kinds(gate(SpeechLasted(119, 1_200_000)))


def test_lengths_are_those_that_some_state_asks_for() -> None:
    def asked(**options: Any) -> set[int]:
        return lengths(Interrupting.model_validate(options))

    assert asked() == set(), "a voice alone decides at `speech_for`"
    assert asked(min_words=1) == {1_200_000}
    assert asked(**{"while": {"tool": {"speech_for": "400ms"}}}) == {400_000}
    assert asked(**{"while": {"tool": {"ignore": ["no"], "always_for": "2s"}}}) == {2_000_000}


def lasted(ps: list[float], **options: Any) -> list[tuple[int, int]]:
    stage = Endpointing(Endpointing.Options.model_validate(options))
    state, found = stage.fresh(), []
    for frame, p in enumerate(ps):
        for action in stage.step(state, Probability(frame, p), frame):
            if isinstance(action, Emit) and isinstance(action.message, SpeechLasted):
                found.append((action.message.frame, action.message.lasted_us))
    return found


def test_a_hum_must_last_for_a_second() -> None:
    assert lasted([0.9] * 40, level=0.95) == []
    assert lasted([0.9] * 80, level=0.95) == [(52, 0)]
    assert lasted([0.9] * 20 + [0.96] + [0.9] * 20, level=0.95) == [(20, 0)], "from then on it is clear"
    assert lasted([0.96] * 5 + [0.0] * 6 + [0.9] * 20, level=0.95) == [], "after a pause it is another voice"


def test_every_length_is_reported_once_and_in_order() -> None:
    assert lasted([1.0] * 80, lengths=["60ms", "1s"]) == [(5, 60_000), (8, 0), (52, 1_000_000)]


# -- states ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["greeting", "thinking", "tool", "speaking"])
def test_each_state_has_rules_of_its_own(state: str) -> None:
    into: dict[str, tuple[Message, ...]] = {
        "greeting": (Timer("greeting"), AUDIBLE),
        "thinking": (STARTED, ended(), said("One.")),
        "tool": (STARTED, ended(), said("One."), Acted()),
        "speaking": (STARTED, ended(), said("One."), Acted(), AUDIBLE),
    }
    for named in into:
        greeting = {"greeting": {"text": "Hello."}} if state == "greeting" else {}
        gate = Driven(**{"while": {named: {"backchannel": "ignore"}}}, **greeting)
        gate(*into[state])
        assert ("Hold" in kinds(gate(VOICE))) is (named != state)


def test_a_longer_voice_is_asked_for_in_one_state() -> None:
    gate = speaking(**{"while": {"speaking": {"speech_for": "400ms"}}})
    gate(VOICE)
    assert gate(LASTED) == []
    assert "Interrupt" in kinds(gate(SpeechLasted(72, 400_000)))


# -- ignored -----------------------------------------------------------------------------------------------------------


def test_an_ignored_voice_does_not_pause_the_agent() -> None:
    gate = speaking(backchannel="ignore", **LISTED)
    for message in (VOICE, LASTED, Partial("Okay", 80), stopped(), Partial("Okay.", 84), ended(2), said("Okay.", 2)):
        assert gate(message) == []
    assert gate.turn is Turn.SPEAKING


def test_an_ignored_voice_interrupts_by_its_words_and_by_its_length() -> None:
    gate = speaking(backchannel="ignore", **LISTED)
    assert "Interrupt" in kinds(gate(VOICE, LASTED, Partial("No, wait", 90)))
    assert gate.turn is Turn.HEARING
    gate(Heard(0, "It", 1, 9))
    assert released(gate(ended(2), said("No, wait.", 2))) == [Utterance(2, "No, wait.", "It")]
    late = speaking(backchannel="ignore", **LISTED)
    assert "Interrupt" in kinds(late(VOICE, LASTED, ended(2), said("No.", 2)))
    assert released(late(RELEASE, every_ms=0)) == [Utterance(2, "Hello. No.", "")]
    long = speaking(backchannel="ignore", **LISTED)
    assert "Interrupt" in kinds(long(VOICE, LASTED, SpeechLasted(119, 1_200_000)))
    alone = speaking(backchannel="ignore")
    assert alone(VOICE) == []
    assert "Interrupt" in kinds(alone(LASTED))


def test_an_ignored_voice_that_was_too_short_says_nothing() -> None:
    gate = speaking(backchannel="ignore", **LISTED)
    gate(VOICE, stopped(52), ended(2))
    assert gate(said("Stop", 2)) == []


# -- in a session ------------------------------------------------------------------------------------------------------


def test_the_list_is_that_of_the_language() -> None:
    def ignored(language: str, more: str = "") -> tuple[str, ...] | None:
        text = f"flowkit: 1\nstages: [{{kind: gate}}, {{kind: chunker, language: {language}}}]\n{more}"
        options: Any = draw(load("listed.yaml", text=text)).plan.stage("gate").options
        return tuple(options.ignore)

    for code in phrases.languages():
        assert len(ignored(code) or ()) > 20, code
    assert "genau" in (ignored("de-AT") or ())
    assert ignored("auto") == ignored("sw") == (), "without a list a voice alone decides"
    assert ignored("en", "interrupt: {ignore: []}") == ()


def talk(said: str, at_ms: int, lasts_ms: int, **gate: Any) -> Plan:
    """The user says something over a reply of some seconds."""
    return scripted_plan(
        mic={"speech": [{"at": "100ms", "lasts": "600ms"}, {"at": f"{at_ms}ms", "lasts": f"{lasts_ms}ms"}]},
        asr={"utterances": ("What is it?", said), "partial_every": "100ms"},
        gate={"ignore": LISTED["ignore"], **gate},
        llm={"replies": ({"text": "It is a house, and it has a door. It has a roof too."}, {"text": "Well."})},
    )


@settings(max_examples=25)
@given(
    at_ms=st.integers(900, 4_000),
    lasts_ms=st.sampled_from((80, 200, 400, 700)),
    words=st.sampled_from(("Mhm.", "Okay.", "Yeah, right.", "Ha ha.")),
    backchannel=st.sampled_from(("hold", "ignore")),
)
def test_a_false_interruption_loses_no_word(at_ms: int, lasts_ms: int, words: str, backchannel: str) -> None:
    plan = talk(words, at_ms, lasts_ms, backchannel=backchannel)
    engine = heap_session(plan)
    rows = engine.journal.rows
    heard = "".join(row.message.text for row in rows if isinstance(row.message, Heard) and row.turn == 1)
    assert heard.strip() == "It is a house, and it has a door. It has a roof too."
    assert not any(isinstance(row.message, Interrupt) for row in rows if row.stage == "speaker")
    assert not any(isinstance(row.message, Resume) for row in rows) or backchannel == "hold"


def test_both_pumps_agree_about_a_backchannel_and_an_interruption() -> None:
    for said_ in ("Okay.", "Okay, wait."):
        for backchannel in ("hold", "ignore"):
            plan = talk(said_, 2_000, 700, backchannel=backchannel)
            assert trio_session(plan).journal.rows == heap_session(plan).journal.rows
