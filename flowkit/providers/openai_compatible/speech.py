"""What the servers of speech with OpenAI's API have in common: their address and key.

Speaches, Kokoro-FastAPI, LocalAI, vLLM and OpenAI itself have this API.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from flowkit import options as opt
from flowkit.providers.cloud.service import HttpService


def is_openai(base_url: str) -> bool:
    """Whether this is OpenAI's own server."""
    return "//api.openai.com" in base_url


class SpeechOptions(opt.Options):
    """Options of both directions."""

    base_url: str = Field(pattern="^https?://[^ ]+$")
    """The server's address up to `/audio`, usually ending in `/v1`."""
    api_key: opt.Secret | None = None
    """The API key, if the server needs one. Default: the environment variable OPENAI_API_KEY if the server is
    OpenAI's."""
    model: str
    """The model's name, as the server knows it."""
    extra: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """More fields of the request, as the server documents them."""


class SpeechService(HttpService):
    """A server of speech at `base_url`."""

    name = "openai_compatible"
    variable = "OPENAI_API_KEY"
    licences = (*HttpService.licences, ("the server's model", "see the server"))

    @classmethod
    def needs_key(cls, options: Any) -> bool:
        return is_openai(options.base_url)
