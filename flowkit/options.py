"""How a component declares its options: a frozen pydantic model with default, unit, range and docs for each field.

The YAML schema, the reference documentation and the checks are all generated from these declarations.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, SecretStr, WithJsonSchema

_UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
# Digits of ASCII alone, as in the JSON Schema by which editors check a file.
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|min|h|d)", re.ASCII)
_MOST_DIGITS = 40
"""A duration with more digits is refused before it is converted."""
LONGEST_US = 366 * 86_400_000_000
"""The longest duration: about a year. A longer one is a mistake, and could exceed what clocks can represent."""
_SPACED = re.compile(r"(\d+(?:\.\d+)?)\s+(us|ms|s|min|h|d)", re.ASCII)
_BARE_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_duration(value: Any) -> int:
    """A duration such as ``8ms`` or ``2s`` in microseconds.

    Raises ValueError for anything without a unit. For a bare number the message shows the two spellings that may be
    meant.
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
    if isinstance(value, str) and (match := _SPACED.fullmatch(value.strip())):
        raise ValueError(f"a duration has no space: write {match[1][:_MOST_DIGITS]}{match[2]}")
    raise ValueError("a duration is a number with a unit: us, ms, s, min, h or d, such as 200ms or 1.5s")


def format_duration(us: int) -> str:
    """The shortest text that ``parse_duration`` reads back."""
    for unit in ("s", "ms"):
        if us % _UNITS_US[unit] == 0:
            return f"{us // _UNITS_US[unit]}{unit}"
    return f"{us}us"


class Microseconds(int):
    """A parsed duration. The type tells defaults written in Python from bare numbers in YAML."""


def us(text: str) -> Microseconds:
    """The default of an option: ``end: Duration = us("400ms")``."""
    return Microseconds(parse_duration(text))


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="always"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(us|ms|s|min|h|d)$", "examples": ["200ms", "1.5s"]}),
]

_BYTES = {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)(B|KB|MB|GB|TB)", re.ASCII)


def parse_size(value: Any) -> int:
    """A size such as ``500MB`` in bytes. Raises ValueError for anything without a unit."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return round(float(match[1]) * _BYTES[match[2]])
    raise ValueError("a size is a number with a unit: B, KB, MB, GB or TB, such as 5GB")


def format_size(size: int) -> str:
    """The shortest text that ``parse_size`` reads back."""
    unit = next(unit for unit in reversed(_BYTES) if size % _BYTES[unit] == 0)
    return f"{size // _BYTES[unit]}{unit}"


def parse_mode(value: Any) -> int:
    """A file mode in octal digits, such as ``0640``. Raises ValueError if it is malformed or locks the owner out."""
    if not isinstance(value, bool) and re.fullmatch(r"0?6[046][046]", str(value)):
        return int(str(value), 8)
    raise ValueError("a mode is 0600, or 0640, 0644, 0660 and so on to let others read or write")


def format_mode(mode: int) -> str:
    """The mode as ``parse_mode`` reads it."""
    return f"0{mode:o}"


class OctalMode(int):
    """A parsed file mode. The type keeps it from being shown as a decimal number."""


PRIVATE_MODE = OctalMode(0o600)
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="always"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(B|KB|MB|GB|TB)$", "examples": ["5GB"]}),
]
FileMode = Annotated[
    int,
    BeforeValidator(parse_mode),
    PlainSerializer(format_mode, return_type=str, when_used="always"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^0?6[046][046]$"}, {"type": "integer"}]}),
]

Secret = SecretStr


class Options(BaseModel):
    """Base class of every component's options. Unknown keys are errors, and values cannot change.

    The string below a field documents it. ``config.docs`` reads these strings from the source when documentation is
    made, because reading them on import would take a millisecond for each class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)
