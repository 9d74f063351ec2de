"""The gate with single messages: messages in, actions out. Every row of the turn table is reached."""

from typing import Any

import pytest

from flowkit.messages import (
    Acted,
    EndOfUtterance,
    EndSession,
    Fault,
    Final,
    Heard,
    Hold,
    InputEnded,
    Interrupt,
    Message,
    Partial,
    PlaybackStarted,
    ReplyPlayed,
    Resume,
    Shutdown,
    SpeechLasted,
    SpeechStarted,
    SpeechStopped,
    StopReply,
    Timer,
    Typed,
    Utterance,
)
from flowkit.stages import gate as gate_module
from flowkit.stages.base import PROVIDER, Action, Emit, Finish, RaiseEpoch, SetTimer
from flowkit.stages.gate import Gate, GateState
from flowkit.stages.turn import TABLE, Event, Turn, turn_step

STARTED, STOPPED, AUDIBLE, PLAYED = SpeechStarted(0), SpeechStopped(5), PlaybackStarted(0, 0), ReplyPlayed()
LASTED = SpeechLasted(9)
RESUME, LOST, RELEASE = Timer("resume_after"), Timer("final"), Timer("release")


class Driven:
    """A gate with its state, driven by messages at 10 ms each."""

    def __init__(self, **options: Any) -> None:
        self.gate = Gate(Gate.Options.model_validate(options))
        self.state: GateState = self.gate.fresh()
        self.now_us = 0

    def __call__(self, *messages: Message, every_ms: int = 10) -> list[Action]:
        """What the last of the messages brought."""
        actions: list[Action] = []
        for message in messages:
            self.now_us += every_ms * 1000
            actions = list(self.gate.step(self.state, message, self.now_us))
        return actions

    @property
    def turn(self) -> Turn:
        return self.state.turn


def ended(n: int = 1) -> EndOfUtterance:
    return EndOfUtterance(n, 5)


def said(text: str, n: int = 1) -> Final:
    return Final(text, n)


def speaking(**options: Any) -> Driven:
    """A gate whose agent is audible, in turn 1."""
    gate = Driven(**options)
    gate(STARTED, STOPPED, ended(), said("Hello."), AUDIBLE)
    assert gate.turn is Turn.SPEAKING
    return gate


def released(actions: list[Action]) -> list[Utterance]:
    return [a.message for a in actions if isinstance(a, Emit) and isinstance(a.message, Utterance)]


def kinds(actions: list[Action]) -> list[str]:
    return [type(a.message).__name__ if isinstance(a, Emit) else type(a).__name__ for a in actions]


def test_an_utterance_is_released_when_it_has_ended_and_its_words_are_final() -> None:
    gate = Driven()
    assert gate(STARTED, Partial("What"), STOPPED) == []
    assert gate(ended()) == [SetTimer(50_000 - 10_000 + 5_000_000, "final")]
    actions = gate(said("What is it?"))
    assert released(actions) == [Utterance(1, "What is it?", "")]
    assert RaiseEpoch(1) in actions
    assert SetTimer(None, "final") in actions


def test_a_final_before_the_end_of_the_utterance_is_kept_and_joined() -> None:
    gate = Driven()
    gate(STARTED, ended(1), STARTED, said("I was", 1))
    assert gate.turn is Turn.HEARING
    assert released(gate(ended(2), said("wondering.", 2))) == [Utterance(1, "I was wondering.", "")]


def test_a_final_that_never_comes_gives_the_turn_up() -> None:
    gate = Driven(final_timeout="1s")
    gate(STARTED, ended())
    assert kinds(gate(LOST)) == ["SetTimer"]
    assert gate.turn is Turn.LISTENING


def test_an_utterance_without_words_is_none() -> None:
    gate = Driven()
    assert released(gate(STARTED, ended(), said("  "))) == []
    assert gate.turn is Turn.LISTENING


def test_voice_over_the_agent_holds_then_interrupts() -> None:
    gate = speaking()
    assert kinds(gate(SpeechStarted(50))) == ["Hold", "SetTimer"]
    actions = gate(LASTED)
    assert kinds(actions) == ["SetTimer", "RaiseEpoch", "Interrupt"]
    assert gate.turn is Turn.HEARING
    gate(Heard(0, "Well, it", 10, 20))
    assert released(gate(ended(2), said("Stop.", 2))) == [Utterance(2, "Stop.", "Well, it")]


def test_a_cough_is_withdrawn_and_its_transcript_is_no_answer() -> None:
    gate = speaking()
    gate(SpeechStarted(50))
    assert kinds(gate(SpeechStopped(52))) == ["SetTimer", "Resume"]
    gate(AUDIBLE, ended(2))
    assert kinds(gate(said("hm", 2))) == []
    assert gate.turn is Turn.SPEAKING


def test_words_are_needed_where_they_are_asked_for() -> None:
    gate = speaking(min_words=2)
    gate(SpeechStarted(50))
    assert gate(LASTED, every_ms=20) == []
    assert gate(Partial("No"), every_ms=20) == []
    assert "Interrupt" in kinds(gate(Partial("No, stop")))


def test_words_that_come_behind_the_end_of_their_utterance_leave_it_to_the_final() -> None:
    """Confirmed by a partial, the gate would listen for the end of an utterance that has already ended."""
    gate = speaking(min_words=2)
    gate(SpeechStarted(50), LASTED, ended(2), every_ms=20)
    assert gate(Partial("No, stop")) == []
    actions = gate(said("No, stop", 2))
    assert "Interrupt" in kinds(actions)
    assert released(gate(RELEASE, every_ms=0))


def test_ignored_words_never_interrupt_alone() -> None:
    gate = speaking(ignore=("okay", "uh-huh"))
    gate(SpeechStarted(50), LASTED)
    assert gate(Partial("Okay, uh-huh"), every_ms=50) == []
    assert kinds(gate(RESUME)) == ["SetTimer", "Resume"]
    assert kinds(gate(AUDIBLE, ended(2), said("Okay.", 2))) == []
    assert "Interrupt" in kinds(gate(SpeechStarted(80), LASTED, Partial("okay but"), every_ms=50))


@pytest.mark.parametrize(
    "said_text", ["Uh huh", "GOT IT.", "that’s right", "हाँ", "scho\u0308n", "好的，好的。", "はい", "ครับ", "네, 네."]
)
def test_ignored_phrases_are_known_however_they_are_written(said_text: str) -> None:
    phrases = ("uh-huh", "got it", "that's right", "हाँ", "schön", "好的", "はい", "ครับ", "네")
    gate = speaking(ignore=phrases)
    gate(SpeechStarted(50), LASTED)
    assert gate(Partial(said_text), every_ms=50) == []
    assert "Interrupt" in kinds(gate(Partial(f"{said_text} 3 but")))


@pytest.mark.parametrize(
    ("few", "enough"),
    [
        ("wait", "wait a moment"),
        ("对", "请等一下"),
        ("はい", "ちょっと待ってください"),
        ("ครับ", "เดี๋ยวก่อนนะครับ"),
        ("네", "잠깐만 기다려 주세요"),
        ("हाँ", "एक मिनट रुकिए"),
    ],
)
def test_words_are_counted_in_every_script(few: str, enough: str) -> None:
    gate = speaking(min_words=2)
    gate(SpeechStarted(50), LASTED)
    assert gate(Partial(few), every_ms=50) == []
    assert "Interrupt" in kinds(gate(Partial(enough)))


def test_a_final_while_the_agent_has_the_turn_interrupts_and_waits_for_what_was_heard() -> None:
    gate = speaking(min_words=3)
    actions = gate(SpeechStarted(50), ended(2), said("No, stop that.", 2))
    assert kinds(actions) == ["SetTimer", "RaiseEpoch", "Interrupt", "SetTimer"]
    assert SetTimer(gate.now_us, "release") in actions
    gate(Heard(0, "Once upon", 1, 2), every_ms=0)
    assert released(gate(RELEASE, every_ms=0)) == [Utterance(2, "No, stop that.", "Once upon")]


def test_an_unheard_reply_leaves_its_question_to_be_joined() -> None:
    gate = Driven()
    gate(STARTED, ended(), said("What is"), SpeechStarted(40), LASTED)
    assert released(gate(ended(2), said("the time?", 2))) == [Utterance(2, "What is the time?", "")]


def thinking(**options: Any) -> Driven:
    """A gate whose agent thinks, in turn 1."""
    gate = Driven(**options)
    gate(STARTED, STOPPED, ended(), said("Hello?"))
    assert gate.turn is Turn.THINKING
    return gate


NOISE: tuple[Message, ...] = (SpeechStarted(50), LASTED, SpeechStopped(53), ended(2))


@pytest.mark.parametrize("nothing", [said("", 2), said(" ", 2), LOST])
def test_a_noise_while_the_agent_thinks_loses_no_question(nothing: Message) -> None:
    gate = thinking()
    gate(*NOISE)
    actions = gate(nothing)
    assert released(actions) == [Utterance(1, "Hello?", "")]
    assert RaiseEpoch(1) in actions
    assert gate.turn is Turn.THINKING
    assert released(gate(AUDIBLE, PLAYED, STARTED, ended(3), said("Next?", 3))) == [Utterance(2, "Next?", "")]


@pytest.mark.parametrize("nothing", [said("", 2), LOST])
def test_a_noise_while_the_agent_speaks_lets_it_go_on_behind_what_was_heard(nothing: Message) -> None:
    gate = speaking()
    gate(Heard(0, "One. ", 5, 5), SpeechStarted(50), LASTED, Heard(1, "Two and", 5, 9), *NOISE[2:])
    assert released(gate(nothing)) == [Utterance(1, "Hello.", "", "One. Two and")]
    gate(AUDIBLE, Heard(0, " three.", 5, 5), Heard(1, " Four.", 5, 5), PLAYED)
    next_one = gate(STARTED, ended(3), said("Next?", 3))
    assert released(next_one) == [Utterance(2, "Next?", "One. Two and three. Four.")]


def test_an_answer_that_begins_anew_is_remembered_as_a_sentence_of_its_own() -> None:
    gate = speaking()
    gate(SpeechStarted(50), LASTED, Heard(0, "Two and", 5, 9), *NOISE[2:], said("", 2))
    gate(AUDIBLE, Heard(0, "It is four.", 5, 5), PLAYED)
    assert released(gate(STARTED, ended(3), said("Next?", 3))) == [Utterance(2, "Next?", "Two and It is four.")]


def test_after_an_interruption_for_nothing_only_words_interrupt_the_same_reply() -> None:
    """So that a noisy room costs one request more, and not one for every noise."""
    gate = thinking()
    gate(*NOISE, said("", 2), AUDIBLE)
    assert kinds(gate(SpeechStarted(90))) == ["Hold", "SetTimer"]
    assert gate(LASTED, every_ms=200) == []
    assert gate(SpeechStopped(99), ended(3)) == []
    assert "Resume" in kinds(gate(said("", 3)))
    gate(AUDIBLE, SpeechStarted(150), LASTED, every_ms=200)
    assert "Interrupt" in kinds(gate(Partial("Stop that."), every_ms=200))
    gate(PLAYED, Heard(0, "Well", 1, 2), ended(4))
    assert released(gate(said("Stop that.", 4))) == [Utterance(2, "Stop that.", "Well")]
    gate(AUDIBLE)
    assert "Hold" in kinds(gate(SpeechStarted(200)))
    assert "Interrupt" in kinds(gate(LASTED)), "the next reply is interrupted by a voice as ever"


def test_a_reply_that_ended_as_it_was_interrupted_is_not_given_again() -> None:
    gate = speaking()
    gate(SpeechStarted(50), LASTED, PLAYED, *NOISE[2:])
    assert released(gate(said("", 2))) == []
    assert gate.turn is Turn.LISTENING


def test_a_turn_that_failed_leaves_nothing_to_the_next() -> None:
    gate = thinking()
    gate(Fault("llm", "no answer"), PLAYED)
    assert released(gate(STARTED, ended(2), said("Next?", 2))) == [Utterance(2, "Next?", "")]


@pytest.mark.parametrize(
    ("most", "asked"), [(0, "Five?"), (1, "four Five?"), (2, "three four Five?"), (8, "three four Five?")]
)
def test_what_is_joined_is_the_newest_and_bounded(most: int, asked: str) -> None:
    """Whole utterances: one of which not all may be joined is left out, with what was before it."""
    gate = Driven(join_words=most)
    gate(STARTED, ended(), said("One and a very, very long two"))
    for number, text in enumerate(("three", "four"), 2):
        gate(SpeechStarted(40), LASTED, ended(number), said(text, number))
    gate(SpeechStarted(80), LASTED, ended(4))
    assert released(gate(said("Five?", 4))) == [Utterance(4, asked, "")]


def test_words_that_are_known_are_asked_although_the_last_final_never_comes() -> None:
    gate = Driven()
    gate(STARTED, ended(1), STARTED, said("I was wondering", 1), STOPPED, ended(2))
    assert released(gate(LOST)) == [Utterance(1, "I was wondering", "")]


def test_a_click_does_not_withdraw_the_words_that_follow_it_in_the_same_utterance() -> None:
    gate = speaking(min_words=1)
    gate(SpeechStarted(50), SpeechStopped(51), AUDIBLE)
    gate(SpeechStarted(60), every_ms=100)
    gate(LASTED, SpeechStopped(80), ended(2), every_ms=200)
    assert "Interrupt" in kinds(gate(said("Stop.", 2)))


def test_a_click_during_a_reply_does_not_withdraw_the_words_that_follow_the_reply() -> None:
    gate = speaking()
    gate(SpeechStarted(50), SpeechStopped(51), AUDIBLE, PLAYED)
    gate(SpeechStarted(60), SpeechStopped(90), ended(2))
    assert [utterance.text for utterance in released(gate(said("And the price?", 2)))] == ["And the price?"]


def test_a_reply_that_ends_while_it_is_held_completes() -> None:
    gate = speaking()
    gate(SpeechStarted(50))
    assert kinds(gate(PLAYED)) == ["SetTimer", "Resume"]
    assert gate.turn is Turn.HEARING


def test_the_session_ends_when_input_and_reply_have() -> None:
    gate = speaking()
    assert gate(InputEnded(99)) == []
    assert gate(PLAYED) == [Finish("input_ended")]
    assert Driven()(InputEnded(3)) == [Finish("input_ended")]


@pytest.mark.parametrize("first", [InputEnded(99), PLAYED])
def test_what_was_said_into_a_reply_is_answered_although_the_input_ends_before_its_transcript_comes(
    first: Message,
) -> None:
    second = PLAYED if isinstance(first, InputEnded) else InputEnded(99)

    def owing() -> Driven:
        gate = Driven(**DEAF)
        gate(GREETING, AUDIBLE, STARTED, STOPPED, ended(), Heard(0, "Hello.", 9, 9), first)
        assert kinds(gate(second))[-1] == "SetTimer"
        assert gate.turn is Turn.CONCLUDING
        return gate

    gate = owing()
    assert [utterance.text for utterance in released(gate(said("One.")))] == ["One."]
    assert gate(AUDIBLE, PLAYED) == [Finish("input_ended")]
    assert finished(owing()(said(""))) == "input_ended"
    assert finished(owing()(Timer("final"))) == "input_ended", "one that never comes is not awaited for ever"


@pytest.mark.parametrize("stage", ["asr", "vad", "mic", "speaker"])
def test_without_ears_or_mouth_the_session_fails(stage: str) -> None:
    assert Driven()(Fault(stage, "gone")) == [Finish("failed: gone")]


@pytest.mark.parametrize("stage", ["llm", "tts"])
def test_a_fault_of_the_reply_costs_the_reply_only(stage: str) -> None:
    assert speaking()(Fault(stage, "gone")) == []


def test_a_shutdown_interrupts_and_ends() -> None:
    assert speaking()(Shutdown("closed")) == [Emit("turn", Interrupt()), Finish("closed")]


def test_a_typed_line_is_released_at_once_and_interrupts() -> None:
    gate = Driven(typing="interrupts")
    assert released(gate(Typed("Hello."))) == [Utterance(1, "Hello.", "")]
    assert "Interrupt" in kinds(gate(AUDIBLE, Typed("No.")))
    assert released(gate(Heard(0, "Hi", 1, 2), RELEASE, every_ms=0)) == [Utterance(2, "No.", "Hi")]


def test_typed_lines_of_a_script_wait_for_the_reply() -> None:
    gate = Driven(typing="waits")
    assert PROVIDER in gate.gate.accepts(gate.state)
    gate(Typed("Hello."))
    assert PROVIDER not in gate.gate.accepts(gate.state)
    gate(AUDIBLE, PLAYED)
    assert PROVIDER in gate.gate.accepts(gate.state)


def test_hold_and_resume_are_control() -> None:
    assert {Hold.lane, Resume.lane, Interrupt.lane} == {"C"}


# -- the table ---------------------------------------------------------------------------------------------------------

THINKING: tuple[Message, ...] = (STARTED, ended(), said("One."))
SPEAKING: tuple[Message, ...] = (*THINKING, AUDIBLE)
HELD: tuple[Message, ...] = (*SPEAKING, STARTED)
CONFIRMED: tuple[Message, ...] = (*HELD, LASTED)
FEW: dict[str, Any] = {"min_words": 1}

WALKS: list[tuple[dict[str, Any], tuple[Message, ...]]] = [
    ({}, (STOPPED, ended(), said(""), said("One."))),
    (
        {},
        (
            STARTED,
            STARTED,
            STOPPED,
            said("", 1),
            said("One.", 1),
            ended(),
            STOPPED,
            ended(),
            STARTED,
            ended(),
            said("Two."),
        ),
    ),
    ({}, (STARTED, ended(), said(""))),
    ({}, (STARTED, ended(), LOST)),
    ({}, (*THINKING, STOPPED, ended(), said("", 2), PLAYED)),
    ({}, (*THINKING, said("Two.", 2), PLAYED, AUDIBLE, RELEASE)),
    ({}, (*SPEAKING, STOPPED, ended(2), said("", 2), AUDIBLE, PLAYED)),
    ({}, (*SPEAKING, said("Two.", 2), RELEASE, STARTED, AUDIBLE, STARTED, ended(3), PLAYED)),
    ({}, (*CONFIRMED, AUDIBLE, PLAYED, ended(2), said("Two.", 2))),
    ({}, (*CONFIRMED, ended(2), said("", 2))),
    ({}, (*HELD, STOPPED)),
    (FEW, (*HELD, ended(2), said("", 2))),
    (FEW, (*HELD, ended(2), said("Two.", 2), RELEASE)),
    ({"greeting": {"text": "Hello."}}, (Timer("greeting"),)),
    ({}, (*SPEAKING, STOPPED, ended(2), PLAYED, InputEnded(99))),
    ({}, (StopReply(), STARTED, StopReply(), ended(), StopReply(), said("One."), StopReply())),
    ({"backchannel": "ignore"}, (*THINKING, STARTED, LASTED)),
    ({"backchannel": "ignore"}, (*SPEAKING, STARTED, LASTED)),
    ({}, (*SPEAKING, StopReply())),
    ({}, (*HELD, StopReply())),
]


def test_every_row_of_the_table_is_reached_by_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[tuple[Turn, Event]] = set()

    def noted(turn: Turn, event: Event) -> Any:
        met.add((turn, event))
        return turn_step(turn, event)

    monkeypatch.setattr(gate_module, "turn_step", noted)
    for options, messages in WALKS:
        Driven(**options)(*messages)
    assert set(TABLE) - met == set()


def test_a_voice_that_pauses_before_it_has_lasted_is_none_however_late_that_is_known() -> None:
    """Behind a stalled network, the end of a click is known seconds later."""
    gate = speaking()
    gate(SpeechStarted(100))
    assert gate(SpeechStopped(102), every_ms=1400)[-1] == Emit("hold", Resume())
    assert gate(ended(2), said("Tsk.", 2)) == []


def test_a_voice_that_has_lasted_interrupts_no_turn_but_the_agents() -> None:
    gate = Driven()
    assert gate(STARTED, LASTED) == []
    gate(STOPPED, ended(), said("Hello."), AUDIBLE)
    assert gate(LASTED) == [], "a hold that nothing has confirmed in time is over"
    assert gate.turn is Turn.SPEAKING


def test_a_voice_that_pauses_while_its_words_are_awaited_stays_suspected() -> None:
    gate = speaking(min_words=2)
    gate(SpeechStarted(100), LASTED)
    assert gate(SpeechStopped(120), SpeechStarted(140), SpeechStopped(141)) == []
    assert "Interrupt" in kinds(gate(Partial("No, wait.")))


def test_a_voice_that_is_withdrawn_after_its_utterance_was_cut_takes_no_words_from_the_next() -> None:
    gate = speaking()
    gate(STARTED, ended(2))
    assert gate(STOPPED)[-1] == Emit("hold", Resume())
    assert gate(said("Tsk.", 2)) == []
    assert "Interrupt" in kinds(gate(ended(3), said("Stop.", 3)))


def test_an_interruption_that_is_ended_for_its_length_before_it_counts_is_answered() -> None:
    gate = speaking()
    gate(STARTED, ended(2), LASTED)
    assert gate.turn is Turn.CONCLUDING
    assert [u.text for u in released(gate(said("Wait.", 2)))] == ["Hello. Wait."]


# -- what the agent says of its own accord, and how a session ends by itself ---------------------------------------------

GREETS = {"greeting": {"text": "Hello."}}
DEAF = {"greeting": {"text": "Hello.", "interruptible": False}}
GREETING, IDLE = Timer("greeting"), Timer("idle")


def finished(actions: list[Action]) -> str:
    return "".join(action.reason for action in actions if isinstance(action, Finish))


def test_the_session_begins_with_the_greeting() -> None:
    gate = Driven(**GREETS)
    assert SetTimer(0, "greeting") in gate.gate.begin(gate.state)
    assert released(gate(GREETING)) == [Utterance(1, "", "", say="Hello.")]
    gate(AUDIBLE, STARTED)
    assert gate.turn is Turn.HELD


def test_what_is_said_during_a_greeting_that_may_not_be_interrupted_is_answered_after_it() -> None:
    gate = Driven(**DEAF)
    gate(GREETING, AUDIBLE)
    assert gate(STARTED, STOPPED, ended(), said("One.")) == []
    assert gate.turn is Turn.SPEAKING
    assert released(gate(Heard(0, "Hello.", 9, 9), PLAYED)) == [Utterance(2, "One.", "Hello.")]
    gate(AUDIBLE, STARTED)
    assert gate.turn is Turn.HELD, "only the greeting is protected"


@pytest.mark.parametrize(("then", "reason"), [("end_session", "user_idle"), ("wait", "")])
def test_a_silent_user_is_asked_so_often_and_then_given_up(then: str, reason: str) -> None:
    idle = {"after": "8s", "say": "Still there?", "times": 2, "then": then}
    gate = Driven(idle=idle)
    assert SetTimer(8_000_000, "idle") in gate.gate.begin(gate.state)
    for number in (1, 2):
        assert released(gate(IDLE)) == [Utterance(number, "", "", say="Still there?")]
        asked = gate(AUDIBLE, PLAYED)
        assert (SetTimer(gate.now_us + 8_000_000, "idle") in asked) is (number == 1 or then == "end_session")
    if reason:
        assert finished(gate(IDLE)) == reason


def test_a_user_who_speaks_is_not_idle() -> None:
    gate = Driven(idle={"after": "8s", "say": "Still there?", "times": 1})
    gate(IDLE, AUDIBLE, PLAYED)
    assert SetTimer(None, "idle") in gate(STARTED)
    gate(STOPPED, ended(), said("Yes."), AUDIBLE)
    assert SetTimer(gate.now_us + 8_010_000, "idle") in gate(PLAYED)


def test_the_session_ends_when_the_good_bye_was_heard() -> None:
    gate = speaking()
    assert gate(EndSession()) == []
    assert gate(EndSession()) == []
    assert finished(gate(PLAYED)) == "agent_ended"


def test_a_good_bye_that_is_interrupted_ends_nothing() -> None:
    gate = speaking()
    gate(EndSession(), STARTED, LASTED, STOPPED, ended(2), said("Wait.", 2), AUDIBLE)
    assert finished(gate(PLAYED)) == ""


def test_the_session_may_end_at_once() -> None:
    assert finished(speaking()(EndSession(after_playout=False))) == "agent_ended"


def test_a_session_has_a_longest_time() -> None:
    gate = Driven(session="30min")
    assert SetTimer(1_800_000_000, "limit") in gate.gate.begin(gate.state)
    assert finished(gate(Timer("limit"))) == "session_limit"


def test_a_question_for_which_tools_were_called_is_not_asked_again_with_the_next() -> None:
    gate = Driven()
    gate(STARTED, STOPPED, ended(), said("Book it."), Acted())
    gate(STARTED, LASTED, STOPPED, ended(2))
    assert [u.text for u in released(gate(said("And?", 2)))] == ["And?"]
