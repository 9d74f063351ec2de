"""JSON to values, as fast as it goes: reading a trace is much of what a replay takes."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json


def parsed(text: str) -> Any:
    """What a JSON text holds. Raises ValueError or RecursionError if it is none.

    Pydantic's reader takes half the time of the standard library's, but not half a surrogate pair, which a model may well emit."""
    try:
        return from_json(text)
    except (ValueError, TypeError):
        return json.loads(text)
