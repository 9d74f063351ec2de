"""Any server with OpenAI's chat completions API: OpenAI itself, Ollama, vLLM, llama.cpp, and most others.

https://platform.openai.com/docs/api-reference/chat

{kind: llm, provider: openai_compatible, base_url: "http://127.0.0.1:11434/v1", model: "qwen3:0.6b"}
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import Ask
from flowkit.providers.base import Surroundings
from flowkit.providers.cloud.chat import Chat, ChatOptions


class OpenAICompatible(Chat):
    """Answers an ``Ask`` with the tokens of the model's reply."""

    name = "openai_compatible"
    variable = "OPENAI_API_KEY"
    path = "/chat/completions"
    models_path = "/models"

    class Options(ChatOptions):
        base_url: str = Field(pattern="^https?://[^ ]+$")
        """The server's address up to `/chat/completions`, usually ending in `/v1`."""
        api_key: opt.Secret | None = None
        """The API key, if the server needs one. Default: the environment variable OPENAI_API_KEY if the server is
        OpenAI's."""
        token_limit: str = Field(default="max_tokens", pattern="^(max_tokens|max_completion_tokens)$")
        """The server's name for the limit of a reply. OpenAI's newer models need `max_completion_tokens`; other servers
        know only `max_tokens`."""
        resumes: bool = False
        """Whether the server continues a partial answer that it is sent, as vLLM and llama.cpp can. Otherwise an
        interrupted reply is requested again, and a beginning that repeats the spoken words is left out."""

    options: Options

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.resumes = self.options.resumes

    @classmethod
    def needs_key(cls, options: Any) -> bool:
        return "//api.openai.com" in options.base_url

    def body(self, ask: Ask) -> dict[str, Any]:
        body = super().body(ask)
        body[self.options.token_limit] = body.pop("max_completion_tokens")
        return body | {"stream_options": {"include_usage": True}}
