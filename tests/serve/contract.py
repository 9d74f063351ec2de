"""What holds for the events of every session of the Realtime protocol, whatever the client has sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

_DELTAS = {
    "response.output_audio_transcript": ("transcript", "delta"),
    "response.output_text": ("text", "delta"),
    "response.function_call_arguments": ("arguments", "delta"),
}


class Answer:
    """A response from ``response.created`` to ``response.done``."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.parts: set[str] = set()
        self.said: Counter[str] = Counter()
        self.texts: dict[tuple[str, str], str] = {}
        self.finished: set[tuple[str, str]] = set()
        self.closed: set[str] = set()


def check(events: Iterable[dict[str, Any]]) -> None:
    """Raises AssertionError at the first event that breaks the contract."""
    open_now: dict[str, Answer] = {}
    ids: set[str] = set()
    items: set[str] = set()
    heard: dict[str, str] = {}
    for event in events:
        type = event["type"]
        assert event["event_id"] not in ids, f"{type} repeats an event id"
        ids.add(event["event_id"])
        if type == "response.created":
            assert event["response"]["id"] not in ids, "a response is created twice"
            ids.add(event["response"]["id"])
            open_now[event["response"]["id"]] = Answer()
        elif type == "response.done":
            done = event["response"]
            answer = open_now.pop(done["id"])
            assert [item["id"] for item in done["output"]] == answer.items
            assert answer.closed == set(answer.items), "an item of the response is not done"
            assert answer.finished == set(answer.texts), "a text of the response is not done"
        elif type.startswith("response."):
            _of_response(open_now[event["response_id"]], event)
        elif type == "conversation.item.added":
            assert event["item"]["id"] not in items, "an item is added twice"
            assert event["previous_item_id"] is None or event["previous_item_id"] in items
            items.add(event["item"]["id"])
        elif type in ("conversation.item.done", "conversation.item.retrieved"):
            assert event["item"]["id"] in items
        elif type.startswith("input_audio_buffer.") and "item_id" in event:
            _of_speech(heard, event)


def _of_response(answer: Answer, event: dict[str, Any]) -> None:
    type, name = event["type"], event["type"].rpartition(".")[0]
    if type == "response.output_item.added":
        assert event["output_index"] == len(answer.items)
        answer.items.append(event["item"]["id"])
        return
    id = event["item"]["id"] if "item" in event else event["item_id"]
    assert answer.items[event["output_index"]] == id, "an event of an item that has another place"
    assert id not in answer.closed, "an event after the item is done"
    if type == "response.content_part.added":
        answer.parts.add(id)
    elif type == "response.output_item.done":
        answer.closed.add(id)
    elif "content_index" in event:
        assert id in answer.parts, "content before its part was added"
    if name in _DELTAS:
        key, value = (id, name), event.get(_DELTAS[name][0], event.get("delta"))
        if type.endswith(".delta"):
            answer.texts[key] = answer.texts.get(key, "") + value
        else:
            assert answer.texts.setdefault(key, "") == value, "the whole is not the sum of its deltas"
            answer.finished.add(key)


_SPEECH = {
    None: ("speech_started", "committed"),
    "speech_started": ("speech_stopped",),
    "speech_stopped": ("committed",),
}
"""What may follow what, for one utterance. Without a VAD there is only the commit."""


def _of_speech(heard: dict[str, str], event: dict[str, Any]) -> None:
    step = event["type"].rpartition(".")[2]
    assert step in _SPEECH.get(heard.get(event["item_id"]), ()), f"{step} after {heard.get(event['item_id'])}"
    heard[event["item_id"]] = step
