"""The items that a client creates, deletes and looks at, and what the model is to make of them.

The model remembers exchanges: what the user said in a turn, and what the agent did. So an item has a place, the exchange that
it is a part of. ``ItemPlaces`` knows it once the turn has begun. What would tear an exchange apart is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowkit.config.serve import Settable
from flowkit.messages import NEWEST, Forget, Remember, Typed
from flowkit.serve.realtime.errors import EventRefused, unsupported
from flowkit.serve.realtime.items import function_call_output, message

if TYPE_CHECKING:
    from flowkit.serve.realtime.client import Hands

Given = Mapping[str, Any]
UNANSWERED = 0
"""The number of the exchange that begins with the next answer."""


@dataclass(slots=True)
class ItemPlaces:
    """Of each item that the model knows the exchange, by its number. `turn` is that of the reply under way, or of the last one."""

    of: dict[str, int] = field(default_factory=dict)
    turn: int = 0
    remembered: int = 0

    def user(self, id: str) -> None:
        """The user has said something that waits for an answer."""
        self.of[id] = UNANSWERED

    def agent(self, id: str) -> None:
        """The agent says something in the turn under way."""
        self.of[id] = self.turn

    def answered(self, turn: int) -> None:
        """The turn has begun that answers what has waited."""
        self.turn = turn
        self.of |= {id: turn for id, number in self.of.items() if number == UNANSWERED}

    def own(self, id: str) -> int:
        """An item that is an exchange of its own. Its number is below those of turns."""
        self.remembered += 1
        self.of[id] = -self.remembered
        return -self.remembered


def create(hands: Hands, event: Given) -> None:
    """``conversation.item.create``."""
    talk, item = hands.talk, event.get("item")
    if not isinstance(item, dict):
        raise EventRefused("missing_required_parameter", "Missing required parameter: 'item'.", "item")
    id, before = item.get("id") or talk.new_id("item"), event.get("previous_item_id")
    if not isinstance(id, str) or id in talk.items:
        raise EventRefused("invalid_value", "item.id must be a string that no other item has.", "item.id")
    if before not in (None, "root") and talk.items.get(before) is None:
        raise EventRefused(
            "item_create_invalid_previous_item_id", f"There is no item {str(before)[:80]!r}.", "previous_item_id"
        )
    make = _ITEMS.get((str(item.get("type")), str(item.get("role")) if item.get("type") == "message" else ""))
    if make is None:
        raise unsupported(f"An item of type {item.get('type')!r} and role {item.get('role')!r}", "item.type")
    last = before is None or before == talk.items.last or (before == "root" and talk.items.last is None)
    # What the system says is no part of an exchange, wherever it stands.
    after = NEWEST if last or make is _of_system else _exchange_before(hands, str(before))
    made = make(hands, id, item, after)
    talk.add_item(made, after=None if last else before)


def delete(hands: Hands, event: Given) -> None:
    """``conversation.item.delete``."""
    talk, id = hands.talk, event.get("item_id")
    if not isinstance(id, str) or (item := talk.items.get(id)) is None:
        raise EventRefused("item_delete_invalid_item_id", f"There is no item {str(id)[:80]!r}.", "item_id")
    if item["type"] != "message":
        raise unsupported(f"Deleting an item of type {item['type']}", "item_id")
    text = _said(item)
    if not text and any(part["type"] == "input_audio" for part in item["content"]):
        raise unsupported("Deleting speech before its transcript is there", "item_id")
    if item["role"] == "system":
        talk.system.remove(text)
        hands.instruct()
    else:
        _forget(hands, id, item["role"] == "user", text)
    talk.items.remove(id)
    talk.places.of.pop(id, None)
    talk.send("conversation.item.deleted", item_id=id)


def retrieve(hands: Hands, event: Given) -> None:
    """``conversation.item.retrieve``."""
    item = hands.talk.items.get(event.get("item_id"))
    if item is None:
        what = f"There is no item {str(event.get('item_id'))[:80]!r}."
        raise EventRefused("item_retrieve_invalid_item_id", what, "item_id")
    hands.talk.send("conversation.item.retrieved", item=dict(item))


def text_of(item: Given, types: tuple[str, ...], path: str = "item.content") -> str:
    """The text of a message. Raises EventRefused for content that is not text."""
    content = item.get("content")
    if not isinstance(content, list) or not content or not all(isinstance(part, dict) for part in content):
        raise EventRefused("invalid_value", f"{path} must be an array of parts.", path)
    for part in content:
        if part.get("type") not in types:
            raise unsupported(f"Content of type {str(part.get('type'))[:40]!r} in such an item", f"{path}.type")
        if not isinstance(part.get("text"), str):
            raise EventRefused("invalid_type", f"{path}.text must be a string.", f"{path}.text")
    return " ".join(part["text"].strip() for part in content if part["text"].strip())


# -- places --------------------------------------------------------------------------------------------------------------


def _exchange_before(hands: Hands, before: str) -> int:
    """The exchange behind which an item is put that follows item `before`; 0: before all. Raises EventRefused if that is within
    one."""
    items, places = hands.talk.items, hands.talk.places.of
    if before == "root":
        return 0
    earlier, later = items.around(before)
    number = next((places[id] for id in reversed(earlier) if id in places), 0)
    following = next((places[id] for id in later if id in places), None)
    if number == following or (number == UNANSWERED and any(id in places for id in earlier)):
        raise unsupported("An item between a question and its answer", "previous_item_id")
    return number


def _forget(hands: Hands, id: str, user: bool, text: str) -> None:
    talk = hands.talk
    number = talk.places.of.get(id, UNANSWERED)
    if number == talk.places.turn and hands.reply.engaged:
        raise unsupported("Deleting an item of the turn under way", "item_id")
    if not user and number in hands.reply.called_in:
        raise unsupported("Deleting what the agent said where it has called functions", "item_id")
    # The gate knows what is not answered, and would ask a question again whose answer was cut off.
    talk.order(Forget(number, user, text), "gate", "llm")


def _said(item: Given) -> str:
    part = item["content"][0] if item["content"] else {}
    return str(part.get("text") or part.get("transcript") or "").strip()


# -- kinds of items ------------------------------------------------------------------------------------------------------


def _of_user(hands: Hands, id: str, item: Given, after: int) -> dict[str, Any]:
    text = text_of(item, ("input_text", "text"))
    if after == NEWEST:
        hands.talk.places.user(id)
        hands.talk.order(Typed(text, waits=True), "gate")
    else:
        hands.talk.order(Remember(text, True, hands.talk.places.own(id), after), "llm")
    return message(id, "user", [{"type": "input_text", "text": text}])


def _of_system(hands: Hands, id: str, item: Given, after: int) -> dict[str, Any]:
    text = text_of(item, ("input_text", "text"))
    hands.may(Settable.INSTRUCTIONS, "item.role")
    hands.talk.system.append(text)
    hands.instruct()
    return message(id, "system", [{"type": "input_text", "text": text}])


def _of_assistant(hands: Hands, id: str, item: Given, after: int) -> dict[str, Any]:
    text = text_of(item, ("output_text", "text"))
    hands.talk.order(Remember(text, False, hands.talk.places.own(id), after), "llm")
    return message(id, "assistant", [{"type": "output_text", "text": text}])


def _output(hands: Hands, id: str, item: Given, after: int) -> dict[str, Any]:
    call_id, output = item.get("call_id"), item.get("output")
    if after != NEWEST:
        raise unsupported("The output of a function before the last item", "previous_item_id")
    if not isinstance(call_id, str) or not isinstance(output, str):
        raise EventRefused("invalid_type", "item.call_id and item.output must be strings.", "item")
    if not hands.reply.answer(call_id, output):
        what = f"There is no function call {call_id[:80]!r} without an output."
        raise EventRefused("invalid_tool_call_id", what, "item.call_id")
    return function_call_output(id, call_id, output)


_ITEMS: dict[tuple[str, str], Callable[[Hands, str, Given, int], dict[str, Any]]] = {
    ("message", "user"): _of_user,
    ("message", "system"): _of_system,
    ("message", "assistant"): _of_assistant,
    ("function_call_output", ""): _output,
}
