"""The Realtime protocol on top of a session, in virtual time."""

from __future__ import annotations

import base64
import json
from itertools import accumulate
from typing import Any

import numpy as np
import pytest

from flowkit.messages import Ask, Frames, Heard, Interrupt, Play, Usage, Utterance
from flowkit.providers.scripted import ScriptedLlm
from flowkit.serve.realtime.audio import _SAMPLES, AudioFormat, Ear, Mouth
from flowkit.serve.realtime.client import HANDLERS
from flowkit.serve.realtime.errors import EventRefused
from tests.serve.support import TALK, TOOL, HeapClient, S, plan_of, silence, tone

ANSWER = "Very well, thank you, it is a town on a river, with bridges and with towers."
MANUAL: dict[str, Any] = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


def messages(client: HeapClient, kind: type) -> list[Any]:
    return [row.message for row in client.pump.engine.journal.rows if type(row.message) is kind and not row.fate]


def spoken(client: HeapClient, wait_us: int = 9 * S) -> None:
    client.say(tone(600_000) + silence(600_000))
    client.wait(wait_us)


# -- a spoken turn -----------------------------------------------------------------------------------------------------


def test_a_spoken_turn_has_the_events_of_the_contract_in_their_order() -> None:
    client = HeapClient()
    spoken(client)
    once = list(dict.fromkeys(client.types()))
    assert once == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    assert client.replays()


def test_ids_and_positions_fit_together() -> None:
    client = HeapClient()
    spoken(client)
    started, committed = client.of("input_audio_buffer.speech_started")[0], client.of("input_audio_buffer.committed")[0]
    user, agent = client.of("conversation.item.added")
    assert started["item_id"] == committed["item_id"] == user["item"]["id"]
    assert agent["previous_item_id"] == user["item"]["id"]
    assert started["audio_start_ms"] <= 100
    assert 560 <= client.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] <= 720
    done = client.of("response.done")[0]["response"]
    assert done["id"] == client.of("response.created")[0]["response"]["id"]
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": ANSWER}]
    assert len({event["event_id"] for event in client.got}) == len(client.got)


def test_the_transcript_comes_as_deltas_and_whole() -> None:
    client = HeapClient()
    spoken(client)
    deltas = client.of("conversation.item.input_audio_transcription.delta")
    completed = client.of("conversation.item.input_audio_transcription.completed")[0]
    assert "".join(delta["delta"] for delta in deltas) == completed["transcript"] == "How are you?"
    assert completed["usage"]["type"] == "duration"
    assert "".join(event["delta"] for event in client.of("response.output_audio_transcript.delta")) == ANSWER


def test_without_transcription_the_words_stay_with_the_server() -> None:
    client = HeapClient()
    client.send("session.update", session={"type": "realtime", "audio": {"input": {"transcription": None}}})
    spoken(client)
    assert not [name for name in client.types() if "transcription" in name]
    assert client.of("response.done")


def test_the_sound_is_all_of_what_was_played_at_the_clients_rate() -> None:
    client = HeapClient()
    spoken(client)
    played = sum(play.samples / play.rate_hz for play in messages(client, Play))
    assert len(client.audio()) / 2 / 24_000 == pytest.approx(played, abs=0.01)


def test_sound_is_sent_at_most_lead_ahead_and_one_piece() -> None:
    client = HeapClient("serve.lead=300ms")
    client.write("Hello?")
    ahead_us, began_us = 0, -1
    for _ in range(900):
        client.wait(10_000)
        sent_us = len(client.audio()) * S // 48_000
        began_us = client.us if began_us < 0 and sent_us else began_us
        ahead_us = max(ahead_us, sent_us - (client.us - began_us) if sent_us else 0)
    assert 250_000 < ahead_us < 500_000


@pytest.mark.parametrize(
    "changed",
    [
        "stages.tts.per_piece=20ms",
        "stages.tts.per_piece=15ms",
        "stages.tts.per_piece=1ms",
        "stages.llm.per_token=700ms",
    ],
)
def test_sound_is_sent_before_the_client_needs_it_and_is_the_same_as_in_one_piece(changed: str) -> None:
    client = HeapClient("stages.tts.piece=20ms", changed)
    client.step_us = 1_000
    sent: list[tuple[int, int]] = []
    client.write("Hello?")
    while not client.of("response.done"):
        client.wait(1_000)
        sent.append((client.us, len(client.audio()) // 2))
    plays = messages(client, Play)
    for play, samples in zip(plays, accumulate(play.samples * 24_000 // play.rate_hz for play in plays), strict=True):
        by_us = next(us for us, count in sent if count >= samples - 50)  # a resampler keeps a few back
        assert by_us <= play.at_us + 2_000
    mouth = Mouth(AudioFormat.PCM, plays[0].rate_hz)
    assert mouth.sound(b"".join(play.pcm for play in plays), last=True) == client.audio()


def test_all_that_was_played_is_sent_although_the_model_fails() -> None:
    reply = "{text: 'Very well, thank you. It is a town', fail_after: 8}"
    client = HeapClient("stages.tts.piece=20ms", f"stages.llm.replies=[{reply}]")
    client.write("Hello?")
    client.wait(9 * S)
    assert client.of("response.done")[0]["response"]["status"] == "failed"
    played = sum(play.samples for play in messages(client, Play))
    assert len(client.audio()) // 2 == played * 3 // 2 > 0


def test_the_first_sound_is_sent_at_once_and_later_sound_in_few_deltas() -> None:
    client = HeapClient("stages.tts.piece=20ms", "stages.tts.per_piece=1ms")
    client.write("Hello?")
    while not client.of("response.output_audio.delta"):
        client.wait(1_000)
    assert len(messages(client, Play)) <= 2
    while not client.of("response.done"):
        client.wait(100_000)
    assert len(client.of("response.output_audio.delta")) < 0.4 * len(messages(client, Play))


def test_usage_counts_what_was_asked_and_said() -> None:
    client = HeapClient()
    spoken(client)
    usage = client.of("response.done")[0]["response"]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] > 0 < usage["output_tokens"]


def test_usage_is_what_the_models_provider_reports() -> None:
    client = HeapClient()
    client.write("Hello?")
    while not client.of("response.output_item.added"):
        client.wait(10_000)
    client.pump.tell("llm", Usage(input_tokens=120, cached_tokens=20, output_tokens=45))
    while not client.of("response.done"):
        client.wait(100_000)
    usage = client.of("response.done")[0]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (120, 45, 165)
    assert usage["input_token_details"]["cached_tokens"] == 20


# -- interruptions -----------------------------------------------------------------------------------------------------


def test_an_interruption_is_announced_when_it_is_confirmed_and_ends_the_response() -> None:
    client = HeapClient()
    client.write("Hello?")
    client.wait(1_500_000)
    before = len(client.got)
    client.say(tone(600_000) + silence(600_000))
    types = client.types(before)
    started = types.index("input_audio_buffer.speech_started")
    assert types.index("response.done") > started
    assert "response.output_audio.delta" not in types[started : types.index("response.created", started)]
    done = client.of("response.done")[0]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert done["output"][0]["status"] == "incomplete"
    assert client.replays()


def test_a_noise_that_is_withdrawn_is_not_announced_and_no_sound_is_sent_twice() -> None:
    client = HeapClient("interrupt.speech_for=300ms")
    client.write("Hello?")
    client.wait(1_500_000)
    client.say(tone(100_000, loud=8_000) + silence(400_000), piece_us=20_000)
    client.wait(9 * S)
    assert not client.of("input_audio_buffer.speech_started")
    assert client.of("response.done")[0]["response"]["status"] == "completed"
    unheld = HeapClient("interrupt.speech_for=300ms")
    unheld.write("Hello?")
    unheld.wait(12 * S)
    assert len(client.audio()) == len(unheld.audio())


def test_what_the_client_says_was_heard_beats_our_own_estimate() -> None:
    client = HeapClient()
    client.write("Hello?")
    client.wait(2 * S)
    item = client.of("response.output_item.added")[0]["item"]["id"]
    client.send("response.cancel")
    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=500)
    assert client.of("conversation.item.truncated")[0]["audio_end_ms"] == 500
    (retrieved,) = client.send("conversation.item.retrieve", item_id=item)
    client.write("And?")
    client.wait(9 * S)
    heard = messages(client, Ask)[-1].history[-1].agent
    assert heard
    assert retrieved["item"]["content"] == [{"type": "output_audio", "transcript": heard}]
    assert ANSWER.startswith(heard)
    assert len(heard) < len("".join(h.text for h in messages(client, Heard)).strip())
    assert client.replays()


def test_truncating_what_still_plays_stops_it() -> None:
    client = HeapClient()
    client.write("Hello?")
    client.wait(1_500_000)
    item = client.of("response.output_item.added")[0]["item"]["id"]
    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=100)
    sent = len(client.audio())
    client.wait(3 * S)
    assert len(client.audio()) == sent
    assert client.of("response.done")[0]["response"]["status"] == "cancelled"


def test_more_than_was_sent_cannot_have_been_heard() -> None:
    client = HeapClient()
    client.write("Hello?")
    client.wait(1_500_000)
    item = client.of("response.output_item.added")[0]["item"]["id"]
    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=60_000)
    assert client.error()["param"] == "audio_end_ms"


@pytest.mark.parametrize("after_us", [0, 100_000, 400_000, 1_500_000])
def test_after_a_cancel_no_byte_of_the_old_reply_is_sent(after_us: int) -> None:
    client = HeapClient()
    client.write("Hello?")
    client.wait(after_us)
    client.send("response.cancel")
    assert client.types()[-1] == "response.done"
    assert client.of("response.done")[0]["response"]["status_details"]["reason"] == "client_cancelled"
    before = len(client.got)
    assert client.wait(5 * S) == []
    client.write("And?")
    client.wait(12 * S)
    assert client.of("response.done")[-1]["response"]["status"] == "completed"
    assert before < len(client.got)


def test_clearing_the_output_stops_it() -> None:
    client = HeapClient()
    client.send("output_audio_buffer.clear")
    assert client.error()["code"] == "response_cancel_not_active"
    client.write("Hello?")
    client.wait(1_500_000)
    assert client.send("output_audio_buffer.clear")[-1]["type"] == "output_audio_buffer.cleared"
    assert client.wait(3 * S) == []


# -- the client decides ------------------------------------------------------------------------------------------------


def test_with_turn_detection_off_the_client_commits_and_asks() -> None:
    client = HeapClient()
    client.send("session.update", session=MANUAL)
    assert client.of("session.updated")[0]["session"]["audio"]["input"]["turn_detection"] is None
    client.say(tone(600_000) + silence(900_000))
    assert not client.of("input_audio_buffer.speech_started")
    client.send("input_audio_buffer.commit")
    client.wait(1 * S)
    assert client.of("conversation.item.input_audio_transcription.completed")[0]["transcript"] == "How are you?"
    assert not client.of("response.created")
    client.send("response.create")
    client.wait(9 * S)
    assert client.of("response.done")[0]["response"]["status"] == "completed"
    assert messages(client, Utterance)[0].text == "How are you?"
    assert client.replays()


def test_an_empty_buffer_cannot_be_committed() -> None:
    client = HeapClient(session=MANUAL)
    client.send("input_audio_buffer.commit", event_id="mine")
    assert client.error()["code"] == "input_audio_buffer_commit_empty"
    assert client.error()["event_id"] == "mine"


def test_what_is_cleared_is_gone() -> None:
    client = HeapClient(session=MANUAL)
    client.say(tone(600_000))
    assert client.send("input_audio_buffer.clear")[0]["type"] == "input_audio_buffer.cleared"
    client.wait(1 * S)
    assert not client.of("input_audio_buffer.committed")
    client.send("input_audio_buffer.commit")
    assert client.error()["code"] == "input_audio_buffer_commit_empty"


def test_without_create_response_the_user_is_heard_and_not_answered() -> None:
    client = HeapClient()
    detection = {"type": "server_vad", "create_response": False}
    client.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
    spoken(client)
    assert client.of("conversation.item.input_audio_transcription.completed")
    assert not client.of("response.created")
    client.send("response.create")
    client.wait(9 * S)
    assert messages(client, Utterance)[0].text == "How are you?"


def test_without_interrupt_response_a_voice_is_announced_and_changes_nothing() -> None:
    client = HeapClient()
    detection = {"type": "server_vad", "interrupt_response": False}
    client.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
    client.write("Hello?")
    client.wait(1_500_000)
    spoken(client, 20 * S)
    assert client.of("input_audio_buffer.speech_started")
    assert not messages(client, Interrupt)
    assert [done["response"]["status"] for done in client.of("response.done")] == ["completed", "completed"]


# -- responses ---------------------------------------------------------------------------------------------------------


def test_text_in_and_text_out() -> None:
    client = HeapClient()
    client.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    client.write("Hello?")
    client.wait(3 * S)
    assert client.of("response.output_text.done")[0]["text"] == ANSWER
    assert "".join(event["delta"] for event in client.of("response.output_text.delta")) == ANSWER
    assert client.of("response.done")[0]["response"]["output"][0]["content"][0]["type"] == "output_text"
    assert not client.of("response.output_audio.delta")
    assert not messages(client, Play)
    assert client.replays()


def test_one_response_in_text_and_the_next_one_spoken() -> None:
    client = HeapClient()
    client.send("response.create", response={"output_modalities": ["text"], "instructions": "Greet."})
    client.wait(3 * S)
    assert client.of("response.output_text.done")
    assert messages(client, Ask)[0].instructions == "Greet."
    client.write("Hello?")
    client.wait(9 * S)
    assert client.of("response.output_audio.delta")
    assert messages(client, Ask)[1].instructions == ""


def test_a_second_response_is_refused_while_one_is_active() -> None:
    client = HeapClient()
    client.write("Hello?")
    client.send("response.create", event_id="second")
    assert (client.error()["code"], client.error()["event_id"]) == (
        "conversation_already_has_active_response",
        "second",
    )
    client.wait(9 * S)
    assert len(client.of("response.created")) == len(client.of("response.done")) == 1


def test_a_response_that_is_asked_for_while_the_last_one_plays_waits_for_it() -> None:
    client = HeapClient()
    client.write("Hello?")
    while not client.of("response.done"):
        client.wait(10_000)
    client.write("And?")
    client.wait(12 * S)
    assert [done["response"]["status"] for done in client.of("response.done")] == ["completed", "completed"]
    assert not messages(client, Interrupt)


def test_out_of_band_is_answered_and_not_remembered() -> None:
    client = HeapClient()
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Sum up."}]}]
    asked = {"conversation": "none", "input": items, "output_modalities": ["text"], "metadata": {"topic": "sum"}}
    client.send("response.create", response=asked)
    client.wait(3 * S)
    done = client.of("response.done")[0]["response"]
    assert (done["conversation_id"], done["metadata"]) == (None, {"topic": "sum"})
    assert not client.of("conversation.item.added")
    client.write("Hello?")
    client.wait(9 * S)
    assert messages(client, Ask)[0].text == "Sum up."
    assert messages(client, Ask)[1].history == ()


def test_a_provider_that_fails_is_a_failed_response() -> None:
    client = HeapClient("stages.llm.replies=[{text: 'Well then.', fail_after: 0}]")
    client.write("Hello?")
    client.wait(9 * S)
    done = client.of("response.done")[0]["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["code"] == "reply_failed"
    assert len(client.of("response.done")) == 1


def test_the_greeting_is_a_response_that_nobody_asked_for() -> None:
    client = HeapClient("greeting.text=Hello.")
    client.wait(4 * S)
    assert client.of("response.output_audio_transcript.done")[0]["transcript"] == "Hello."
    assert HeapClient("greeting.text=Hello.", "serve.greeting=false").wait(4 * S) == []


# -- tools -------------------------------------------------------------------------------------------------------------


def called(client: HeapClient) -> str:
    """The client's tool is called; returns the id of the call."""
    client.send("session.update", session={"type": "realtime", "tools": [TOOL]})
    client.write("Where is it?")
    client.wait(5 * S)
    call_id: str = client.of("response.function_call_arguments.done")[0]["call_id"]
    return call_id


def give(client: HeapClient, call_id: str, output: str) -> None:
    client.send("conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": output})


def test_a_clients_tool() -> None:
    client = HeapClient()
    call_id = called(client)
    first = client.of("response.done")[0]["response"]
    assert [item["type"] for item in first["output"]] == ["message", "function_call"]
    assert first["output"][1]["arguments"] == '{"at": 1}'
    give(client, call_id, "on the left")
    client.wait(1 * S)
    assert len(client.of("response.created")) == 1
    client.send("response.create")
    client.wait(9 * S)
    last = client.of("response.done")[1]["response"]
    assert last["output"][0]["content"][0]["transcript"] == "It is on the left, beside the door."
    assert messages(client, Ask)[-1].steps[-1].calls[0].content == "on the left"
    assert client.replays()


def test_a_call_without_an_output_has_failed_for_the_model() -> None:
    client = HeapClient()
    called(client)
    client.send("response.create")
    client.wait(9 * S)
    assert messages(client, Ask)[-1].steps[-1].calls[0].status == "error"


def test_an_output_after_an_interruption_reaches_the_next_request() -> None:
    client = HeapClient()
    call_id = called(client)
    client.say(tone(600_000))
    give(client, call_id, "on the left")
    client.say(silence(600_000))
    client.wait(9 * S)
    assert messages(client, Ask)[-1].history[-1].steps[-1].calls[0].content == "on the left"
    give(client, call_id, "again")
    assert client.error()["code"] == "invalid_tool_call_id"


def test_a_response_with_tools_of_its_own() -> None:
    client = HeapClient()
    content = [{"type": "input_text", "text": "Where is it?"}]
    client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    choice = {"type": "function", "name": "look"}
    client.send("response.create", response={"tools": [TOOL], "tool_choice": choice, "instructions": "Look."})
    client.wait(5 * S)
    call_id = client.of("response.function_call_arguments.done")[0]["call_id"]
    give(client, call_id, "on the left")
    client.send("response.create", response={"instructions": "Another."}, event_id="late")
    assert (client.error()["code"], client.error()["event_id"]) == ("unsupported", "late")
    client.send("response.create")
    client.wait(9 * S)
    asks = messages(client, Ask)
    assert [json.loads(ask.offered)[0]["name"] for ask in asks] == ["look", "look"]
    assert [ask.choice for ask in asks] == ["function look", ""]
    assert {ask.instructions for ask in asks} == {"Look."}
    client.write("Where is it?")
    client.wait(9 * S)
    assert messages(client, Ask)[2].offered == ""
    assert len(client.of("response.function_call_arguments.done")) == 1
    assert client.replays()


def test_a_response_without_the_sessions_tools() -> None:
    client = HeapClient()
    client.send("session.update", session={"type": "realtime", "tools": [TOOL]})
    client.send("response.create", response={"tools": []})
    client.wait(5 * S)
    client.send("response.create", response={"tool_choice": "none"})
    client.wait(5 * S)
    first, second = messages(client, Ask)
    assert (json.loads(first.offered), first.tools) == ([], True)
    assert (json.loads(second.offered)[0]["name"], second.tools) == ("look", False)


def test_the_sessions_tool_choice() -> None:
    client = HeapClient()
    client.send("session.update", session={"type": "realtime", "tools": [TOOL], "tool_choice": "required"})
    assert client.of("session.updated")[0]["session"]["tool_choice"] == "required"
    client.write("Hello?")
    client.wait(5 * S)
    assert messages(client, Ask)[0].choice == "required"


def test_a_model_that_cannot_be_told_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedLlm, "chooses", False)
    client = HeapClient()
    client.send("session.update", session={"type": "realtime", "tools": [TOOL], "tool_choice": "required"})
    assert (client.error()["code"], client.error()["param"]) == ("unsupported", "session.tool_choice")
    client.send("response.create", response={"tool_choice": {"type": "function", "name": "look"}})
    assert (client.error()["code"], client.error()["param"]) == ("unsupported", "response.tool_choice")
    assert client.send("session.update", session={"tool_choice": "none"})[0]["type"] == "session.updated"


def test_a_cancelled_response_in_text_does_not_silence_the_next_one() -> None:
    client = HeapClient()
    client.send("response.create", response={"output_modalities": ["text"]})
    client.send("response.cancel")
    spoken(client)
    assert len(client.audio()) > 48_000


# -- items -------------------------------------------------------------------------------------------------------------


def test_items_that_are_no_messages_of_the_user() -> None:
    client = HeapClient()
    for role, type in (("system", "input_text"), ("assistant", "output_text")):
        content = [{"type": type, "text": f"By the {role}."}]
        client.send("conversation.item.create", item={"type": "message", "role": role, "content": content})
    client.write("Hello?")
    client.wait(3 * S)
    ask = messages(client, Ask)[0]
    assert ask.instructions == "By the system."
    assert ask.history[0].agent == "By the assistant."
    first = client.of("conversation.item.added")[0]["item"]["id"]
    assert client.send("conversation.item.retrieve", item_id=first)[0]["item"]["role"] == "system"
    client.send("conversation.item.retrieve", item_id="no-such")
    assert client.error()["code"] == "item_retrieve_invalid_item_id"


def put(client: HeapClient, role: str, text: str, before: str | None = None) -> str:
    """Create a message behind item `before`; returns its id."""
    type = "output_text" if role == "assistant" else "input_text"
    item = {"type": "message", "role": role, "content": [{"type": type, "text": text}]}
    got = client.send("conversation.item.create", item=item, **({} if before is None else {"previous_item_id": before}))
    assert got[0]["type"] == "conversation.item.added", got
    assert before is None or got[0]["previous_item_id"] == (None if before == "root" else before)
    id: str = got[0]["item"]["id"]
    return id


def past(client: HeapClient) -> list[tuple[str, str]]:
    """What the model remembers when it is asked next."""
    client.write("What now?")
    client.wait(12 * S)
    return [(exchange.user, exchange.agent) for exchange in messages(client, Ask)[-1].history]


def replied(client: HeapClient, text: str) -> tuple[str, str]:
    """Ask and hear the answer; returns the ids of both."""
    client.write(text)
    client.wait(12 * S)
    question, answer = client.of("conversation.item.added")[-2:]
    return question["item"]["id"], answer["item"]["id"]


def test_items_are_put_where_the_client_wants_them() -> None:
    client = HeapClient()
    first, answer = replied(client, "Hello?")
    put(client, "assistant", "Three.")
    two = put(client, "assistant", "Two.", answer)
    put(client, "user", "One and a half.", two)
    put(client, "user", "Zero.", "root")
    put(client, "system", "Be kind.", first)
    assert past(client) == [
        ("Zero.", ""), ("Hello?", ANSWER), ("", "Two."), ("One and a half.", ""), ("", "Three."),
    ]  # fmt: skip
    assert messages(client, Ask)[-1].instructions == "Be kind."
    assert client.replays()


def test_an_item_within_an_exchange_is_refused() -> None:
    client = HeapClient()
    question, _ = replied(client, "Hello?")
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hm."}]}
    client.send("conversation.item.create", item=item, previous_item_id=question)
    assert (client.error()["code"], client.error()["param"]) == ("unsupported", "previous_item_id")


def test_deleted_items_are_forgotten() -> None:
    client = HeapClient()
    one, _ = replied(client, "One?")
    two, second = replied(client, "Two?")
    three, third = replied(client, "Three?")
    own = put(client, "assistant", "Besides.")
    for id in (one, second, two, third, own):
        assert client.send("conversation.item.delete", item_id=id)[0] == {
            "type": "conversation.item.deleted", "event_id": client.got[-1]["event_id"], "item_id": id,
        }  # fmt: skip
        client.send("conversation.item.retrieve", item_id=id)
        assert client.error()["code"] == "item_retrieve_invalid_item_id"
    assert past(client) == [("", ANSWER), ("Three?", "")]
    client.send("conversation.item.delete", item_id=three)
    assert past(client)[:2] == [("", ANSWER), ("What now?", ANSWER)]
    assert client.replays()


def test_what_waits_for_an_answer_can_be_deleted() -> None:
    client = HeapClient()
    put(client, "user", "Hello?")
    wrong = put(client, "user", "Where is it?")
    rule = put(client, "system", "Be rude.")
    client.send("conversation.item.delete", item_id=wrong)
    client.send("conversation.item.delete", item_id=rule)
    client.send("response.create")
    client.wait(9 * S)
    assert [(ask.text, ask.instructions) for ask in messages(client, Ask)] == [("Hello?", "")]


def test_an_item_without_words_can_be_deleted() -> None:
    client = HeapClient()
    id = put(client, "user", "")
    assert client.send("conversation.item.delete", item_id=id)[0]["type"] == "conversation.item.deleted"


def test_speech_can_be_deleted_once_it_is_understood() -> None:
    client = HeapClient()
    spoken(client)
    client.send("conversation.item.delete", item_id=client.of("input_audio_buffer.committed")[0]["item_id"])
    assert past(client) == [("", ANSWER)]


def test_what_is_being_said_cannot_be_deleted() -> None:
    client = HeapClient()
    client.write("Hello?")
    client.wait(1 * S)
    for event in client.of("conversation.item.added"):
        client.send("conversation.item.delete", item_id=event["item"]["id"])
        assert client.error()["code"] == "unsupported"


def test_function_calls_cannot_be_deleted() -> None:
    client = HeapClient()
    give(client, called(client), "on the left")
    client.wait(9 * S)
    for event in client.of("conversation.item.added")[1:]:
        client.send("conversation.item.delete", item_id=event["item"]["id"])
        assert client.error()["code"] == "unsupported"


# -- what is refused ---------------------------------------------------------------------------------------------------

USER = {"type": "message", "role": "user"}
REFUSED: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("no.such.event", {}, "invalid_value", "type"),
    ("session.update", {"session": 3}, "invalid_type", "session"),
    ("session.update", {"session": {"type": "transcription"}}, "unsupported", "session.type"),
    ("session.update", {"session": {"novelty": 1}}, "unknown_parameter", "session.novelty"),
    ("session.update", {"session": {"tool_choice": {"type": "mcp"}}}, "unsupported", "session.tool_choice"),
    ("session.update", {"session": {"tools": [{"type": "mcp"}]}}, "unsupported", "session.tools[0].type"),
    ("session.update", {"session": {"max_output_tokens": 5}}, "unsupported", "session.max_output_tokens"),
    ("session.update", {"session": {"audio": {"output": {"speed": 1.5}}}}, "unsupported", "session.audio.output.speed"),
    ("session.update", {"session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}}},
     "invalid_value", "session.audio.input.format.rate"),
    ("session.update", {"session": {"turn_detection": {"threshold": 3}}}, "invalid_value", "session.turn_detection"),
    ("session.update", {"session": {"turn_detection": {"idle_timeout_ms": 3000}}}, "unsupported",
     "session.turn_detection.idle_timeout_ms"),
    ("input_audio_buffer.append", {}, "missing_required_parameter", "audio"),
    ("input_audio_buffer.append", {"audio": "*"}, "invalid_audio", "audio"),
    ("input_audio_buffer.append", {"audio": "AAAA"}, "invalid_audio", "audio"),
    ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty", None),
    ("conversation.item.create", {}, "missing_required_parameter", "item"),
    ("conversation.item.create", {"item": {**USER, "content": [{"type": "input_audio"}]}}, "unsupported", "item.content.type"),
    ("conversation.item.create", {"item": {**USER, "content": []}}, "invalid_value", "item.content"),
    ("conversation.item.create", {"item": {**USER, "content": [{"type": "input_text"}]}}, "invalid_type", "item.content.text"),
    ("conversation.item.create", {"item": {"type": "mcp_call"}}, "unsupported", "item.type"),
    ("conversation.item.create", {"item": USER, "previous_item_id": "x"}, "item_create_invalid_previous_item_id",
     "previous_item_id"),
    ("conversation.item.truncate", {"item_id": "x", "audio_end_ms": 1}, "item_truncate_invalid_item_id", "item_id"),
    ("conversation.item.delete", {"item_id": "x"}, "item_delete_invalid_item_id", "item_id"),
    ("response.create", {"response": {"novelty": 1}}, "unknown_parameter", "response.novelty"),
    ("response.create", {"response": {"tools": [{"type": "mcp"}]}}, "unsupported", "response.tools[0].type"),
    ("response.create", {"response": {"tool_choice": 3}}, "unsupported", "response.tool_choice"),
    ("response.create", {"response": {"input": [{"type": "item_reference"}]}}, "unsupported", "response.input"),
    ("response.cancel", {}, "response_cancel_not_active", None),
]  # fmt: skip


@pytest.mark.parametrize(("type", "fields", "code", "param"), REFUSED)
def test_what_is_not_possible_is_answered_by_an_error_that_names_it(
    type: str, fields: dict[str, Any], code: str, param: str | None
) -> None:
    client = HeapClient()
    before = client.protocol.talk.settings
    got = client.send(type, event_id="mine", **fields)
    assert [event["type"] for event in got] == ["error"]
    assert (got[0]["error"]["code"], got[0]["error"]["param"]) == (code, param)
    assert got[0]["error"]["event_id"] == "mine"
    assert client.protocol.talk.settings == before


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"type": 3}', "null", "[" * 100_000, None])
def test_a_message_that_is_no_event(text: str | None) -> None:
    client = HeapClient()
    assert [event["type"] for event in client.send_text(text)] == ["error"]


def test_what_the_file_keeps_for_itself_cannot_be_set() -> None:
    client = HeapClient("serve.client_may_set=[turn_detection]")
    for session in ({"instructions": "Be rude."}, {"tools": [TOOL]}, {"output_modalities": ["text"]}):
        client.send("session.update", session={"type": "realtime", **session})
        assert client.error()["code"] == "not_allowed"
    client.send("response.create", response={"instructions": "Be rude."})
    assert client.error()["code"] == "not_allowed"
    assert client.send("session.update", session=MANUAL)[-1]["type"] == "session.updated"


def test_sound_far_ahead_of_its_time_is_refused() -> None:
    client = HeapClient("serve.limits.ahead=1s")
    piece = base64.b64encode(tone(800_000)).decode()
    client.send("input_audio_buffer.append", audio=piece)
    client.send("input_audio_buffer.append", audio=piece)
    client.send("input_audio_buffer.append", audio=piece)
    assert client.error()["code"] == "audio_ahead_of_time"
    client.wait(2 * S)
    assert client.send("input_audio_buffer.append", audio=piece) == []


def test_the_keys_of_the_beta_are_accepted() -> None:
    client = HeapClient()
    session = {
        "modalities": ["audio", "text"], "instructions": "Be kind.", "voice": "alloy", "temperature": 0.8,
        "input_audio_format": "g711_ulaw", "output_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad", "threshold": 0.4},
        "max_response_output_tokens": "inf", "tools": [], "tool_choice": "auto",
    }  # fmt: skip
    (updated,) = client.send("session.update", session=session)
    audio = updated["session"]["audio"]
    assert (audio["input"]["format"]["type"], audio["output"]["format"]["type"]) == ("audio/pcmu", "audio/pcma")
    assert audio["input"]["turn_detection"]["threshold"] == 0.4


def test_every_event_that_a_client_may_send_has_a_handler() -> None:
    documented = {
        "session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear",
        "output_audio_buffer.clear", "conversation.item.create", "conversation.item.retrieve", "conversation.item.truncate",
        "conversation.item.delete", "response.create", "response.cancel",
    }  # fmt: skip
    assert set(HANDLERS) == documented


# -- formats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", AudioFormat)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000])
def test_a_tone_passes_through_every_format(format: AudioFormat, rate_hz: int) -> None:
    pcm = tone(1 * S, rate_hz)
    mouth, ear = Mouth(format, rate_hz), Ear(format, 16_000)
    heard = b"".join(
        ear.hear(mouth.say(pcm[first : first + 2 * 441], last=False))[0] for first in range(0, len(pcm), 2 * 441)
    )
    samples = np.frombuffer(heard, "<i2").astype(float)
    assert 0.99 < len(samples) / 16_000 <= 1.0
    middle = samples[4_000:12_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    peak = int(spectrum.argmax())
    assert peak * 2 == pytest.approx(440, abs=3)
    noise = np.sqrt((spectrum**2).sum() - (spectrum[peak - 4 : peak + 5] ** 2).sum())
    assert noise < 0.02 * spectrum[peak]


def test_silence_stays_silent() -> None:
    ear = Ear(AudioFormat.PCM, 16_000)
    heard = b"".join(ear.hear(base64.b64encode(bytes(4_800)).decode())[0] for _ in range(20))
    assert heard.strip(b"\0") == b""


def test_the_tables_of_g711() -> None:
    """Against ITU-T G.711: the largest values, the smallest, and that codes and samples fit together."""
    mu, a = _SAMPLES[AudioFormat.PCMU], _SAMPLES[AudioFormat.PCMA]
    assert (mu[0x00], mu[0x80], mu[0x7F], mu[0xFF]) == (-32124, 32124, 0, 0)
    assert (a[0x2A], a[0xAA], a[0x55], a[0xD5]) == (-32256, 32256, -8, 8)
    for format, samples in _SAMPLES.items():
        mouth = Mouth(format, 8_000)
        back = samples[np.frombuffer(base64.b64decode(mouth.say(samples.astype("<i2").tobytes())), np.uint8)]
        assert (back == samples).all()


def test_odd_sizes_are_joined_to_whole_frames() -> None:
    client = HeapClient()
    for _ in range(50):
        client.send("input_audio_buffer.append", audio=base64.b64encode(bytes(2 * 333)).decode())
    frames = messages(client, Frames)
    assert all(len(frame.pcm) == 640 * frame.count for frame in frames)
    with pytest.raises(EventRefused):
        Ear(AudioFormat.PCM, 16_000).hear("AA==")


def test_a_pipeline_without_a_vad() -> None:
    plan, _ = plan_of(TALK)
    assert plan.only("vad") is not None
    text = TALK.replace("  - {kind: vad, provider: scripted, end: 200ms}\n", "").replace(
        "- {kind: gate}", "- {kind: gate, release: asr_final}"
    )
    client = HeapClient(text=text)
    assert client.of("session.created")[0]["session"]["audio"]["input"]["turn_detection"] is None
    client.write("Hello?")
    client.wait(9 * S)
    assert client.of("response.done")[0]["response"]["status"] == "completed"


def test_a_client_learns_of_an_answer_that_was_begun_early_when_it_is_released() -> None:
    """And of one that was given up, never."""
    early, patient = HeapClient("stages.llm.preempt={at: 0, stable_for: 0ms, max_tries: 3}"), HeapClient()
    for client in (early, patient):
        client.say(tone(1_500_000) + silence(1_500_000))
        client.wait(9 * S)
    assert any(message.early for message in early.messages(Utterance))
    for type in ("response.created", "response.done", "response.output_audio_transcript.delta"):
        assert len(early.of(type)) == len(patient.of(type)) > 0
    assert len(early.audio()) == len(patient.audio())
