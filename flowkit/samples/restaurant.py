"""A restaurant's book of tables, small enough to fit into memory: the tools of ``pipelines/restaurant.yaml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flowkit.providers.tools.functions import ToolContext

SEATS = 12
_booked: dict[str, tuple[str, int]] = {}
"""Time and people, by the key of the call that booked: the same call books once, however often it arrives."""


def free_tables(time: str) -> dict[str, int]:
    """How many seats are free at a time.

    Args:
        time: such as 19:30.
    """
    return {"free_seats": SEATS - sum(people for at, people in _booked.values() if at == time)}


def book_table(people: Annotated[int, Field(ge=1, le=SEATS)], time: str, context: ToolContext) -> dict[str, object]:
    """Book a table.

    Args:
        people: how many.
        time: such as 19:30.
    """
    free = free_tables(time)["free_seats"]
    if context.key not in _booked and people > free:
        raise ValueError(f"only {free} seats are free at {time}")
    _booked.setdefault(context.key, (time, people))
    return {"booked": True, "people": people, "time": time}
