"""Whatever a client sends, in whatever order: no exception, every response ends in exactly one ``response.done``, and the
session can be used afterwards and replays."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.serve.realtime.reply import TABLE, ReplyEvent, ReplyPhase
from tests.serve.contract import check
from tests.serve.support import TOOL, HeapClient, S, silence, tone

PIECES = {
    "voice": base64.b64encode(tone(300_000)).decode(),
    "silence": base64.b64encode(silence(300_000)).decode(),
    "odd": "AAAA",
    "none": "",
    "broken": "*",
}
DETECTIONS = [
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "semantic_vad", "eagerness": "high"},
    {"type": "server_vad", "threshold": 2},
]
SESSIONS: list[Any] = [
    *({"type": "realtime", "audio": {"input": {"turn_detection": detection}}} for detection in DETECTIONS),
    {"type": "realtime", "tools": [TOOL], "instructions": "Be kind."},
    {"type": "realtime", "tools": []},
    {"type": "realtime", "tools": [TOOL], "tool_choice": {"type": "function", "name": "look"}},
    {"output_modalities": ["text"]},
    {"output_modalities": ["audio"]},
    {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_alaw"},
    {"audio": {"input": {"transcription": None}, "output": {"format": {"type": "audio/pcm", "rate": 24000}}}},
    {"novelty": True},
    None,
]
TEXTS = ["Where is it?", "Hello?", ""]


def text_item(role: str, type: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(TEXTS).map(
        lambda text: {"type": "message", "role": role, "content": [{"type": type, "text": text}]}
    )


ITEMS = st.one_of(
    text_item("user", "input_text"),
    text_item("system", "input_text"),
    text_item("assistant", "output_text"),
    st.sampled_from(["call_1", "call_2", "no-such"]).map(
        lambda id: {"type": "function_call_output", "call_id": id, "output": "yes"}
    ),
    st.sampled_from([{}, {"type": "message", "role": "user", "content": [{"type": "input_image"}]}, 3]),
)
RESPONSES = st.sampled_from(
    [
        None,
        {},
        {"output_modalities": ["text"]},
        {"output_modalities": ["audio"], "instructions": "Greet."},
        {"conversation": "none", "input": [{"type": "message", "content": [{"type": "input_text", "text": "Aside?"}]}]},
        {"conversation": "none"},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": []},
        {"tool_choice": "none"},
        {"novelty": 1},
    ]
)
IDS = st.sampled_from(["item_test_1", "item_test_2", "item_test_3", "last", "root", "no-such"])
EVENTS = st.one_of(
    st.builds(lambda session: ("session.update", {"session": session}), st.sampled_from(SESSIONS)),
    st.builds(lambda name: ("input_audio_buffer.append", {"audio": name}), st.sampled_from(sorted(PIECES))),
    st.sampled_from(["input_audio_buffer.commit", "input_audio_buffer.clear", "output_audio_buffer.clear", "response.cancel"])
    .map(lambda type: (type, {})),
    st.builds(lambda item, before: ("conversation.item.create", {"item": item, **before}), ITEMS,
              st.one_of(st.just({}), IDS.map(lambda id: {"previous_item_id": id}))),
    st.builds(lambda response: ("response.create", {"response": response}), RESPONSES),
    st.builds(lambda id, ms: ("conversation.item.truncate", {"item_id": id, "content_index": 0, "audio_end_ms": ms}),
              IDS, st.sampled_from([0, 100, 700, 100_000, -1])),
    st.builds(lambda type, id: (type, {"item_id": id}),
              st.sampled_from(["conversation.item.retrieve", "conversation.item.delete"]), IDS),
    st.sampled_from([("no.such", {}), ("response.cancel", {"response_id": "other"})]),
)  # fmt: skip
WAITS = st.sampled_from([0, 0, 20_000, 300_000, 1_200_000])


class Sequence(HeapClient):
    step_us = 50_000

    def carry_out(self, type: str, fields: dict[str, Any]) -> None:
        for name in ("item_id", "previous_item_id"):
            if fields.get(name) == "last":
                added = self.of("response.output_item.added")
                fields = {**fields, name: added[-1]["item"]["id"] if added else "none"}
        if type != "input_audio_buffer.append":
            before = len(self.got)
            self.send(type, **fields)
            # An answer at once, except where the answer is that something happens.
            silent = type in ("input_audio_buffer.commit", "response.create")
            assert len(self.got) > before or silent
        else:
            # By name until here: a failing sequence is printed, and sound is long.
            self.send(type, audio=PIECES[fields["audio"]])


@settings(max_examples=100_000 if settings.default.max_examples > 1_000 else 500)
@given(st.lists(st.tuples(EVENTS, WAITS), max_size=14), st.booleans())
def test_any_sequence_of_events(sequence: list[tuple[tuple[str, dict[str, Any]], int]], holds: bool) -> None:
    client = Sequence(*(["interrupt.min_words=1"] if holds else []))
    for (type, fields), wait_us in sequence:
        client.carry_out(type, fields)
        client.wait(wait_us)
    # The session is still usable.
    client.send("session.update", session={"type": "realtime", "tools": [], "output_modalities": ["audio"]})
    client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    client.send("response.cancel")
    client.wait(4 * S)
    # A reply that was interrupted for nothing has been answered again meanwhile.
    client.send("response.cancel")
    client.wait(S)
    created = len(client.of("response.created"))
    client.send("response.create")
    client.wait(15 * S)
    assert client.pump.engine.finished is None
    assert len(client.of("response.created")) > created
    done = Counter(event["response"]["id"] for event in client.of("response.done"))
    assert done == Counter(event["response"]["id"] for event in client.of("response.created"))
    assert set(done.values()) <= {1}
    check(client.got)
    assert client.replays()


def test_the_table_of_replies_has_every_row() -> None:
    active = {(phase, ReplyEvent.ASK) for phase in (ReplyPhase.ASKED, ReplyPhase.RUNNING)}
    calls = {(phase, ReplyEvent.CALL) for phase in ReplyPhase if phase is not ReplyPhase.RUNNING}
    assert set(TABLE) == {(phase, step) for phase in ReplyPhase for step in ReplyEvent} - active - calls
