"""A client says how much of a reply was heard, whenever that comes: while the reply sounds, is held or is released again, after it,
and when the next one has begun."""

from __future__ import annotations

import base64

from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowkit.messages import Ask
from tests.serve.support import TALK, HeapClient, S, silence, tone

STEP = 20_000
EARLY = "stages.llm.preempt={at: 0, stable_for: 0ms}"
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}}}


def talked(truncate_us: int, voice_us: int, lasts_us: int, share: float, *changed: str) -> tuple[HeapClient, str, int]:
    """A reply, a voice `voice_us` after its first sound, and a truncation `truncate_us` after that; at the end a written
    question. Returns the item of the reply, and how many events had come before the truncation."""
    client = HeapClient(*changed)
    client.say(tone(600_000))
    client.say(silence(1_500_000))
    item, before = client.of("response.output_item.added")[0]["item"]["id"], 0
    sound = silence(voice_us) + tone(lasts_us) + silence(5 * S - voice_us - lasts_us)
    size = 2 * 24_000 * STEP // S
    for at_us in range(0, 5 * S, STEP):
        if not before and at_us >= truncate_us:
            sent = sum(
                len(base64.b64decode(one["delta"]))
                for one in client.of("response.output_audio.delta")
                if one["item_id"] == item
            )
            before = len(client.got)
            heard_ms = int(share * sent / 48)
            client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=heard_ms)
        first = at_us // STEP * size
        client.send("input_audio_buffer.append", audio=base64.b64encode(sound[first : first + size]).decode())
        client.wait(STEP)
    client.wait(4 * S)
    client.write("And?")
    client.wait(1 * S)
    return client, item, before


@settings(max_examples=8)
@given(
    st.integers(0, 240).map(lambda n: n * STEP),
    st.integers(0, 100).map(lambda n: n * STEP),
    st.sampled_from([60_000, 100_000, 200_000, 700_000]),
    st.floats(0, 1),
    st.sampled_from([(), (EARLY,), ("interrupt.resume_after=100ms",), ("interrupt.speech_for=400ms",)]),
)
@example(1_700_000, 500_000, 700_000, 0.3, ())  # the next reply has begun, and says nothing yet
@example(3 * S, 500_000, 700_000, 0.3, ())  # it speaks
@example(600_000, 500_000, 200_000, 0.3, ("interrupt.speech_for=400ms",))  # the reply is held
def test_what_a_client_says_was_heard_is_remembered_of_that_reply_alone(
    truncate_us: int, voice_us: int, lasts_us: int, share: float, changed: tuple[str, ...]
) -> None:
    client, item, before = talked(truncate_us, voice_us, lasts_us, share, *changed)
    assert not client.of("error")
    assert client.of("conversation.item.truncated")
    after = [one["type"] for one in client.got[before:] if one.get("item_id") == item]
    assert "response.output_audio.delta" not in after, "no byte of it is sent any more"
    (retrieved,) = client.send("conversation.item.retrieve", item_id=item)
    heard = retrieved["item"]["content"][0]["transcript"]
    asked = client.messages(Ask)[-1]
    assert asked.text.endswith("And?")
    agents = [exchange.agent for exchange in asked.history if exchange.user == "How are you?"]
    # Of what was not heard at all, only a question that is answered with the next one leaves no exchange.
    assert agents == [heard] or not (agents or heard)
    # What else was said was answered to its end, unless something else stopped it.
    others = [one["response"] for one in client.of("response.done")][1:]
    assert [one["status"] for one in others] == ["completed"] * len(others)
    assert client.replays()


def test_what_a_reply_said_before_it_called_tools_stays_heard() -> None:
    client = HeapClient(session={"tools": [TOOL]})
    client.write("Where is it?")
    client.wait(3 * S)
    call = next(one["item"] for one in client.of("response.output_item.done") if one["item"]["type"] == "function_call")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "left"}
    client.send("conversation.item.create", item=output)
    client.send("response.create")
    client.wait(3 * S)
    said = [one["item"]["id"] for one in client.of("response.output_item.added") if one["item"]["type"] == "message"]
    client.send("conversation.item.truncate", item_id=said[1], content_index=0, audio_end_ms=700)
    assert not client.of("error")
    client.write("And?")
    client.wait(5 * S)
    (exchange,) = client.messages(Ask)[-1].history
    assert exchange.steps[0].text == "Let me see."
    assert exchange.agent
    assert "It is on the left, beside the door.".startswith(exchange.agent)


def test_a_reply_of_long_ago_cannot_be_truncated() -> None:
    client = HeapClient(
        text=TALK.replace("Very well, thank you, it is a town on a river, with bridges and with towers.", "Yes.")
    )
    for _ in range(6):
        client.write("Hello?")
        client.wait(3 * S)
    first, *_, last = [one["item"]["id"] for one in client.of("response.output_item.added")]
    client.send("conversation.item.truncate", item_id=first, content_index=0, audio_end_ms=0)
    assert client.error()["param"] == "item_id"
    client.send("conversation.item.truncate", item_id=last, content_index=0, audio_end_ms=0)
    assert len(client.of("conversation.item.truncated")) == 1
