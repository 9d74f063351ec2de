"""What ``price:`` of a provider may contain, and which of it suits which kind of stage."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from flowkit import options as opt

PRICED_BY: Mapping[str, tuple[str, ...]] = {
    "asr": ("hour",),
    "llm": ("input", "cached", "output"),
    "tts": ("characters",),
}
"""The keys of a price, by the kind of the stage."""
UNITS: Mapping[str, str] = {"asr": "hours of audio", "llm": "tokens", "tts": "characters"}
"""What a provider of a kind is paid for, in words."""


def _amount() -> float | None:
    found: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    return found


class Price(opt.Options):
    """What a provider costs, in the file's `currency`."""

    input: float | None = _amount()
    """Of an llm: a million tokens of the request."""
    cached: float | None = _amount()
    """A million of those of them that the server had in its cache. By default as much as `input`."""
    output: float | None = _amount()
    """A million tokens of the reply."""
    characters: float | None = _amount()
    """Of a tts: a million characters."""
    hour: float | None = _amount()
    """Of an asr: an hour of audio."""
