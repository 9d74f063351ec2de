"""What the parts of the protocol share about one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.config.serve import Settable
from flowkit.messages import Message
from flowkit.serve.microphone import Microphone
from flowkit.serve.orders import Order
from flowkit.serve.realtime.conversation import ItemPlaces
from flowkit.serve.realtime.items import Items
from flowkit.serve.realtime.settings import Defaults, Settings


@dataclass(slots=True)
class Dialogue:
    """One session of a client. `kinds`: of the stages, by id. `events`: for the client. `orders`: for the session. `now_us`:
    session time of what is being handled."""

    id: str
    kinds: Mapping[str, str]
    defaults: Defaults
    allowed: frozenset[Settable]
    rate_hz: int
    mic: Microphone
    ahead_us: int
    now_us: int = 0
    settings: Settings = field(default_factory=Settings)
    items: Items = field(default_factory=Items)
    places: ItemPlaces = field(default_factory=ItemPlaces)
    system: list[str] = field(default_factory=list)
    """What system messages have added to the instructions."""
    events: list[dict[str, Any]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def new_id(self, kind: str) -> str:
        """An id that no other object of any session has, such as ``item_5f0c_12``."""
        number = self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}_{self.id.removeprefix('sess_')}_{number}"

    def send(self, type: str, **fields: Any) -> None:
        """An event for the client."""
        self.events.append({"type": type, "event_id": self.new_id("event"), **fields})

    def order(self, message: Message, *stages: str) -> None:
        """A message for the stages of these kinds."""
        self.orders += [Order(stage, message) for stage in stages]

    def add_item(self, item: dict[str, Any], *, done: bool = True, after: str | None = None) -> str | None:
        """A new item of the conversation, behind item `after` or the last one; returns the id of the one before it."""
        before = self.items.add(item) if after is None else self.items.insert(item, after)
        self.send("conversation.item.added", previous_item_id=before, item=dict(item))
        if done:
            self.send("conversation.item.done", previous_item_id=before, item=dict(item))
        return before
