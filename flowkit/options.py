"""How a component declares its options: a frozen pydantic model, each field with default, unit, range and a line of docs.

The YAML schema, the reference documentation and the checks are all made from these declarations; there is no second list.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, SecretStr, WithJsonSchema

_UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|min|h|d)", re.ASCII)
_MOST_DIGITS = 40
LONGEST_US = 366 * 86_400_000_000
"""A year: what is longer was not meant, and must not meet the bounds of clocks."""
_BARE_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_duration(value: Any) -> int:
    """A duration such as ``8ms`` or ``2s`` as integer microseconds.

    Raises ValueError for a bare number, naming the two readings it may have meant, and for anything else without a unit.
    """
    if isinstance(value, Microseconds):
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        if len(match[1]) > _MOST_DIGITS or (us := round(float(match[1]) * _UNITS_US[match[2]])) > LONGEST_US:
            raise ValueError(f"a duration is at most {LONGEST_US // 86_400_000_000} days")
        return Microseconds(us)
    if not isinstance(value, bool) and _BARE_NUMBER.fullmatch(str(value).strip()):
        shown = str(value).strip()[:_MOST_DIGITS]
        raise ValueError(f"a duration needs a unit: write {shown}ms or {shown}s")
    raise ValueError("a duration is a number with a unit: us, ms, s, min, h or d, such as 200ms or 1.5s")


def format_duration(us: int) -> str:
    """The shortest spelling that ``parse_duration`` reads back."""
    for unit in ("s", "ms"):
        if us % _UNITS_US[unit] == 0:
            return f"{us // _UNITS_US[unit]}{unit}"
    return f"{us}us"


class Microseconds(int):
    """An already parsed duration, so that defaults written in Python are not mistaken for bare numbers in YAML."""


def us(text: str) -> Microseconds:
    """A default in an Options class: ``end: Duration = us("400ms")``."""
    return Microseconds(parse_duration(text))


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="always"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(us|ms|s|min|h|d)$", "examples": ["200ms", "1.5s"]}),
]

Secret = SecretStr


class Options(BaseModel):
    """Base of every component's options: unknown keys are errors, values cannot change after start. The text below a field
    documents it; it is read from the source when documentation is made (``config.docs``), as reading it costs a millisecond
    a class."""

    model_config = ConfigDict(extra="forbid", frozen=True)
