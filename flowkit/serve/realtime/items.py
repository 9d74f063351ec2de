"""The conversation as a client sees it: items in order, each with an id. Nothing here decides what the model gets."""

from __future__ import annotations

from typing import Any

MOST = 1_000
"""How many items are kept to be retrieved. What the model remembers has limits of its own."""


class Items:
    """The items of one conversation, the oldest first."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, Any]] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._items

    def get(self, id: Any) -> dict[str, Any] | None:
        """The item with this id, if it is still kept."""
        return self._items.get(id) if isinstance(id, str) else None

    @property
    def last(self) -> str | None:
        """The id of the newest item; None if there is none."""
        return next(reversed(self._items), None)

    def add(self, item: dict[str, Any]) -> str | None:
        """Append an item; returns the id of the one before it."""
        before = self.last
        self._items[item["id"]] = item
        if len(self._items) > MOST:
            del self._items[next(iter(self._items))]
        return before

    def insert(self, item: dict[str, Any], after: str) -> str | None:
        """Put an item behind item `after`, or before all (``root``); returns the id of the one before it."""
        kept = list(self._items.items())
        at = 0 if after == "root" else 1 + list(self._items).index(after)
        self._items = dict([*kept[:at], (item["id"], item), *kept[at:]])
        return None if after == "root" else after

    def remove(self, id: str) -> None:
        """Forget an item."""
        del self._items[id]

    def around(self, id: str) -> tuple[list[str], list[str]]:
        """The ids up to this one, and those behind it."""
        ids = list(self._items)
        at = ids.index(id) + 1
        return ids[:at], ids[at:]


def message(id: str, role: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    """A message of the user, the assistant or the system."""
    return {"id": id, "object": "realtime.item", "type": "message", "status": status, "role": role, "content": content}


def function_call(id: str, call_id: str, name: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    """A call of a client's tool."""
    return {
        "id": id,
        "object": "realtime.item",
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def function_call_output(id: str, call_id: str, output: str) -> dict[str, Any]:
    """What came of it."""
    return {
        "id": id,
        "object": "realtime.item",
        "type": "function_call_output",
        "status": "completed",
        "call_id": call_id,
        "output": output,
    }
