"""What servers with OpenAI's API have in common: their address and key."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from flowkit import options as opt
from flowkit.providers.cloud.service import HttpService


class ServerOptions(opt.Options):
    """Options of every such server."""

    base_url: str = Field(pattern="^https?://[^ ]+$")
    """The server's address, usually ending in `/v1`."""
    api_key: opt.Secret | None = None
    """The API key, if the server needs one. Default: the environment variable OPENAI_API_KEY if the server is
    OpenAI's."""


class SpeechOptions(ServerOptions):
    """Options of both directions of speech."""

    model: str
    """The model's name, as the server knows it."""
    extra: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """More fields of the request, as the server documents them."""


class OpenAIServer(HttpService):
    """A server at `base_url`. OpenAI's own needs a key, and no other gets the one of the environment."""

    name = "openai_compatible"
    variable = "OPENAI_API_KEY"
    licences = (*HttpService.licences, ("the server's model", "see the server"))

    @classmethod
    def needs_key(cls, options: Any) -> bool:
        return "//api.openai.com" in options.base_url
