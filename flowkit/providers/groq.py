"""Groq's chat models, through Groq's own client library under Trio.

https://console.groq.com/docs/api-reference#chat-create

{kind: llm, provider: groq, model: llama-3.3-70b-versatile, api_key: "${GROQ_API_KEY}"}
"""

from __future__ import annotations

from pydantic import Field

from flowkit import options as opt
from flowkit.providers.cloud.chat import Chat, ChatOptions


class Groq(Chat):
    """Answers an ``Ask`` with the tokens of the model's reply."""

    name = "groq"
    licences = (*Chat.licences, ("Groq (service)", "the service's terms"))
    variable = "GROQ_API_KEY"
    path = "/openai/v1/chat/completions"
    models_path = "/openai/v1/models"
    resumes = True  # https://console.groq.com/docs/prefilling

    class Options(ChatOptions):
        model: str = "llama-3.3-70b-versatile"
        """The model's name."""
        api_key: opt.Secret | None = None
        """The API key. Default: the environment variable GROQ_API_KEY."""
        base_url: str = Field(default="https://api.groq.com", pattern="^https?://[^ ]+$")
        """Address of the service. Change it for a proxy or for `flowkit emulate groq`."""

    options: Options
