"""What ``price:`` of a provider may contain, and which of it suits which kind of stage."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from flowkit import options as opt

MILLION = 1_000_000
TOKENS = ("input", "cached", "output")
"""The keys of a price for tokens."""
PRICED_BY: Mapping[str, tuple[str, ...]] = {
    "asr": ("hour", "minute", "input", "output", "per"),
    "llm": ("input", "cached", "output", "per"),
    "tts": ("characters", "hour", "minute", "input", "output", "per"),
}
"""The keys of a price, by the kind of the stage."""
UNITS: Mapping[str, str] = {"asr": "time of audio", "llm": "tokens", "tts": "characters or time of audio"}
"""What a provider of a kind is paid for, in words."""


def _amount() -> float | None:
    found: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    return found


class Price(opt.Options):
    """What a provider costs, in the file's `currency`."""

    input: float | None = _amount()
    """A million tokens that it is sent: of an llm the request, of an asr the audio, of a tts the text."""
    cached: float | None = _amount()
    """Of an llm: a million of those of them that the server had in its cache. By default as much as `input`."""
    output: float | None = _amount()
    """A million tokens that it makes: of an llm the reply, of an asr the transcript, of a tts the audio."""
    characters: float | None = _amount()
    """Of a tts: a million characters."""
    hour: float | None = _amount()
    """An hour of audio: of an asr what it is sent, of a tts what it makes."""
    minute: float | None = _amount()
    """A minute of it, in place of `hour`."""
    per: int = Field(default=MILLION, ge=1, le=MILLION)
    """How many tokens or characters the prices are for, such as 1000 where the price list says "per 1,000"."""

    @model_validator(mode="after")
    def _one_time(self) -> Price:
        if self.hour is not None and self.minute is not None:
            raise ValueError("hour and minute are the same price; keep one of them")
        return self
