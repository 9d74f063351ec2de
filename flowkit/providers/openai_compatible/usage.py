"""What servers with OpenAI's API of speech say of their usage.

https://platform.openai.com/docs/api-reference/audio/json-object
"""

from __future__ import annotations

from typing import Any

from flowkit.clock import US_PER_S
from flowkit.messages import Usage
from flowkit.providers.cloud.completions import count_of

_LONGEST_S = 86_400


def used_of(counted: Any, audio_us: int = 0) -> Usage:
    """What a request has used. `audio_us`: length of the audio that was sent, which counts unless the server names another."""
    said = counted if isinstance(counted, dict) else {}
    seconds = said.get("seconds")
    if isinstance(seconds, int | float) and 0 <= seconds <= _LONGEST_S:
        audio_us = round(seconds * US_PER_S)
    asked, made = count_of(said.get("input_tokens")), count_of(said.get("output_tokens"))
    return Usage(input_tokens=asked or 0, output_tokens=made or 0, audio_us=audio_us)
