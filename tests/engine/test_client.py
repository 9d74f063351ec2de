"""What a client says to a session: commits, asks, cancels, what it heard, its own tools. All of it is in the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.engine import Engine, Row
from flowkit.messages import (
    Ask,
    Attend,
    ClearInput,
    CommitInput,
    EndOfStep,
    EndOfUtterance,
    Final,
    Forget,
    Frames,
    Heard,
    HeardUntil,
    Instruct,
    Interrupt,
    Keys,
    Message,
    Mute,
    Play,
    Played,
    Remember,
    ReplyPlayed,
    Respond,
    Speak,
    StopReply,
    ToolCall,
    ToolOutcome,
    Typed,
    Utterance,
)
from flowkit.plan import with_ends
from flowkit.plan.graph import Plan
from flowkit.providers.sound.pushed import PushedSource
from flowkit.replay.heap import HeapPump
from flowkit.replay.rerun import Rerun
from flowkit.testing.sessions import scripted_plan, scripts_of

MANUAL = Attend(detects=False, answers=False, interrupts=False)
S = 1_000_000
OFFER = json.dumps([{"name": "look", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}}])


def plan(**stages: Any) -> Plan:
    given: dict[str, Any] = {
        "asr": {"utterances": ("How are you?", "And else?", "Bye.")},
        "llm": {"replies": ({"text": "Very well, thank you."}, {"text": "Nothing else."})},
    }
    return with_ends(scripted_plan(**(given | stages)), mic=(PushedSource, PushedSource.Options()))


class Client:
    """A client of a session in virtual time. Each method says something, and `wait` lets time pass."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.pump = HeapPump(plan, scripts_of(plan))
        self.us = self.frame = 0
        self.wait(0)

    @property
    def engine(self) -> Engine:
        return self.pump.engine

    def wait(self, us: int) -> None:
        self.us += us
        self.pump.run(until_us=self.us)

    def say(self, us: int) -> None:
        """Push so much sound, frame by frame in real time."""
        for _ in range(us // self.plan.frame_us):
            self.pump.push(Frames(self.frame, 1, bytes(640)), self.us)
            self.frame += 1
            self.wait(self.plan.frame_us)

    def push(self, item: Message) -> None:
        self.pump.push(item, self.us)
        self.wait(0)

    def tell(self, message: Message, *kinds: str) -> None:
        for kind in kinds or ("gate",):
            self.pump.tell(kind, message, self.us)
        self.wait(0)

    def rows(self, kind: type[Message]) -> list[Any]:
        return [row.message for row in self.engine.journal.rows if type(row.message) is kind and not row.fate]

    def replayed(self) -> list[Row]:
        """The journal of an exact replay, which must be equal."""
        rows = self.engine.journal.rows
        again = Rerun(self.plan, rows, whole=False)
        now = list(again)
        assert again.difference is None
        return now


def test_without_detection_an_utterance_ends_when_the_client_commits_it() -> None:
    client = Client(plan())
    client.tell(MANUAL, "vad", "gate")
    client.say(1 * S)
    assert not client.rows(EndOfUtterance)
    client.push(CommitInput())
    client.wait(1 * S)
    assert EndOfUtterance(1, client.frame - 1) in client.rows(EndOfUtterance)
    assert client.rows(Final)[-1] == Final("How are you?", 1)
    assert not client.rows(Utterance)
    client.tell(Respond())
    client.wait(5 * S)
    assert [u.text for u in client.rows(Utterance)] == ["How are you?"]
    assert client.rows(ReplyPlayed)
    client.replayed()


def test_a_commit_does_not_overtake_the_frames_before_it() -> None:
    client = Client(plan())
    client.tell(MANUAL, "vad", "gate")
    for n in range(60):
        client.pump.push(Frames(n, 1, bytes(640)))
    client.pump.push(CommitInput())
    client.wait(1 * S)
    assert EndOfUtterance(1, 59) in client.rows(EndOfUtterance)


def test_what_was_cleared_is_not_answered() -> None:
    client = Client(plan(asr={"utterances": ("Not this.", "But this.")}))
    client.tell(MANUAL, "vad", "gate")
    client.say(1 * S)
    client.push(ClearInput())
    client.wait(1 * S)
    client.say(1 * S)
    client.push(CommitInput())
    client.wait(1 * S)
    client.tell(Respond())
    client.wait(3 * S)
    assert [u.text for u in client.rows(Utterance)] == ["But this."]
    client.replayed()


def test_clearing_nothing_does_not_clear_what_follows() -> None:
    client = Client(plan())
    client.tell(MANUAL, "vad", "gate")
    client.push(ClearInput())
    client.say(1 * S)
    client.push(CommitInput())
    client.wait(1 * S)
    client.tell(Respond())
    client.wait(1 * S)
    assert [u.text for u in client.rows(Utterance)] == ["How are you?"]


def test_written_text_waits_for_the_reply_that_is_asked_for() -> None:
    client = Client(plan())
    client.tell(Typed("My name is Ann.", waits=True))
    client.tell(Typed("Who am I?", waits=True))
    client.wait(1 * S)
    assert not client.rows(Utterance)
    client.tell(Respond(instructions="Be brief."))
    client.wait(4 * S)
    (utterance,) = client.rows(Utterance)
    assert (utterance.text, utterance.instructions) == ("My name is Ann. Who am I?", "Be brief.")
    (ask,) = client.rows(Ask)
    assert ask.instructions == "Be brief."
    client.tell(Respond())
    client.wait(4 * S)
    assert client.rows(Ask)[-1].instructions == ""
    assert client.rows(Ask)[-1].history[-1].user == "My name is Ann. Who am I?"
    client.replayed()


def test_a_reply_that_is_asked_for_waits_for_the_one_that_plays() -> None:
    client = Client(plan())
    client.tell(Typed("One?"))
    client.wait(600_000)
    client.tell(Respond())
    client.wait(6 * S)
    assert len(client.rows(ReplyPlayed)) == len(client.rows(Utterance)) == 2
    assert not client.rows(Interrupt)


@pytest.mark.parametrize("after_us", [1, 100_000, 300_000, 600_000, 1_000_000])
def test_a_cancelled_reply_is_silent_and_the_next_one_is_whole(after_us: int) -> None:
    client = Client(plan())
    client.tell(Typed("One?"))
    client.wait(after_us)
    client.tell(StopReply())
    stopped, heard = len(client.rows(Play)), any(heard.text for heard in client.rows(Heard))
    client.wait(3 * S)
    assert len(client.rows(Play)) == stopped
    client.tell(Typed("Two?"))
    client.wait(5 * S)
    assert client.rows(ReplyPlayed)
    # What was asked and not answered at all is asked again.
    assert client.rows(Utterance)[-1].text == ("Two?" if heard else "One? Two?")
    client.replayed()


def test_a_cancel_without_a_reply_changes_nothing() -> None:
    client = Client(plan())
    client.tell(StopReply())
    client.tell(Typed("One?"))
    client.wait(4 * S)
    assert len(client.rows(ReplyPlayed)) == 1


def test_what_the_client_says_was_heard_is_remembered() -> None:
    client = Client(plan())
    client.tell(Typed("One?"))
    client.wait(1_200_000)
    client.tell(StopReply())
    client.tell(HeardUntil("Very"))
    client.tell(Typed("Two?"))
    client.wait(2 * S)
    assert client.rows(Ask)[-1].history[-1].agent == "Very"
    client.replayed()


def test_aside_is_not_remembered() -> None:
    client = Client(plan())
    client.tell(Typed("One?"))
    client.wait(4 * S)
    client.tell(Typed("Kept.", waits=True))
    client.tell(Respond(aside=True, text="Sum it up."))
    client.wait(4 * S)
    client.tell(Respond())
    client.wait(4 * S)
    asked = client.rows(Ask)
    assert [ask.text for ask in asked] == ["One?", "Sum it up.", "Kept."]
    assert [exchange.user for exchange in asked[-1].history] == ["One?"]


def test_a_muted_reply_is_whole_and_has_no_sound() -> None:
    client = Client(plan(chunker={"speculate_end": True}))
    client.tell(Mute(True), "tts")
    client.tell(Typed("One?"))
    client.wait(3 * S)
    assert not client.rows(Play)
    assert not client.rows(Speak)
    assert "".join(heard.text for heard in client.rows(Heard)) == "Very well, thank you."
    assert client.rows(ReplyPlayed)
    client.tell(Mute(False), "tts")
    client.tell(Typed("Two?"))
    client.wait(4 * S)
    assert client.rows(Play)
    client.replayed()


def test_instructions_and_what_was_said_before_reach_the_model() -> None:
    client = Client(plan())
    client.tell(Instruct("Be kind.", OFFER), "llm", "tools")
    client.tell(Remember("Hello, this is the bistro."), "llm")
    client.tell(Typed("One?"))
    client.wait(1 * S)
    (ask,) = client.rows(Ask)
    assert (ask.instructions, ask.offered) == ("Be kind.", OFFER)
    assert ask.history[-1].agent == "Hello, this is the bistro."


TOOLED: dict[str, Any] = {
    "llm": {
        "replies": (
            {"text": "Let me see.", "calls": ({"name": "look", "arguments": "{}"},)},
            {"after": "look", "text": "It is there."},
        )
    },
    "tools": {},
}


def test_a_clients_tool_is_called_at_the_client() -> None:
    client = Client(plan(**TOOLED))
    client.tell(Instruct("", OFFER), "llm", "tools")
    client.tell(Typed("Where?"))
    client.wait(5 * S)
    (call,) = [row.message for row in client.engine.journal.rows if row.stage == "tools" and row.kind == "ToolCall"]
    assert isinstance(call, ToolCall)
    assert not client.rows(ReplyPlayed)
    client.tell(ToolOutcome(call.id, "result", "on the left"), "tools")
    client.tell(ToolOutcome(call.id, "result", "twice"), "tools")
    client.wait(5 * S)
    assert client.rows(ReplyPlayed)
    assert client.rows(Ask)[-1].steps[-1].calls[0].content == "on the left"
    client.replayed()


def test_the_end_of_a_step_follows_its_sound_to_the_speaker() -> None:
    client = Client(plan(**TOOLED))
    client.tell(Instruct("", OFFER), "llm", "tools")
    client.tell(Typed("Where?"))
    client.wait(5 * S)
    at_speaker = [row.kind for row in client.engine.journal.rows if row.stage == "speaker" and row.lane != "C"]
    assert at_speaker.index("EndOfStep") > at_speaker.index("ClauseEnded")
    assert any(isinstance(row.message, EndOfStep) for row in client.engine.journal.rows)


def test_a_voice_does_not_interrupt_if_the_client_says_so() -> None:
    speech = {"speech": ({"at": "0ms", "lasts": "400ms"}, {"at": "1600ms", "lasts": "900ms"}), "length": "6s"}
    given = scripted_plan(
        mic=speech,
        asr={"utterances": ("One?", "Two?")},
        llm={"replies": ({"text": "It is a town on a river, with bridges and with towers."},)},
    )
    pump = HeapPump(given, scripts_of(given))
    pump.run(until_us=0)
    pump.tell("gate", Attend(interrupts=False))
    pump.run(until_us=20 * S)
    messages = [row.message for row in pump.engine.journal.rows]
    assert not any(isinstance(message, Interrupt) for message in messages)
    assert [m.text for m in messages if isinstance(m, Utterance)] == ["One?", "Two?"]


def waits() -> st.SearchStrategy[int]:
    return st.sampled_from([0, 20_000, 200_000, 700_000, 2_000_000])


SAYINGS: dict[str, tuple[Message, tuple[str, ...]]] = {
    "typed": (Typed("Well?"), ("gate",)),
    "waits": (Typed("So.", waits=True), ("gate",)),
    "respond": (Respond(), ("gate",)),
    "aside": (Respond(aside=True, text="Aside?"), ("gate",)),
    "stop": (StopReply(), ("gate",)),
    "manual": (MANUAL, ("vad", "gate")),
    "auto": (Attend(), ("vad", "gate")),
    "deaf": (Attend(interrupts=False), ("vad", "gate")),
    "keen": (Attend(answers=False), ("vad", "gate")),
    "heard": (HeardUntil("Ver"), ("gate",)),
    "remember": (Remember("Before.", True, -3, 1), ("llm",)),
    "forget": (Forget(1, True, "How are you?"), ("gate", "llm")),
    "forget reply": (Forget(1, False, ""), ("gate", "llm")),
    "mute": (Mute(True), ("tts",)),
    "speak": (Mute(False), ("tts",)),
    "offer": (Instruct("", OFFER), ("llm", "tools")),
    "outcome": (ToolOutcome("call_1", "result", "yes"), ("tools",)),
    "keys": (Keys("12"), ("gate",)),
    "played": (Played(1, 4_000), ("speaker",)),
    "commit": (CommitInput(), ()),
    "clear": (ClearInput(), ()),
    "say": (Frames(0, 1), ()),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(SAYINGS)), waits()), max_size=12), st.booleans())
def test_whatever_a_client_says_the_session_goes_on_and_replays(said: Iterable[tuple[str, int]], tools: bool) -> None:
    client = Client(plan(**(TOOLED if tools else {})))
    for name, us in said:
        message, kinds = SAYINGS[name]
        if name == "say":
            client.say(400_000)
        elif not kinds:
            client.push(message)
        else:
            client.tell(message, *kinds)
        client.wait(us)
    assert client.engine.finished is None
    # The next question is answered, whatever was said before.
    client.tell(Attend(), "vad", "gate")
    client.tell(StopReply())
    client.wait(8 * S)
    before = len(client.rows(ReplyPlayed))
    client.tell(Instruct(), "llm", "tools")
    client.tell(Respond())
    client.wait(20 * S)
    assert len(client.rows(ReplyPlayed)) > before
    client.replayed()
