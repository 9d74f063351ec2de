"""Any server with OpenAI's chat completions API: OpenAI itself, Ollama, vLLM, llama.cpp, and most others.

https://platform.openai.com/docs/api-reference/chat

{kind: llm, provider: openai_compatible, base_url: "http://127.0.0.1:11434/v1", model: "qwen3:0.6b"}
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from flowkit.messages import Ask
from flowkit.providers.base import Surroundings
from flowkit.providers.cloud.chat import Chat, ChatOptions
from flowkit.providers.openai_compatible.server import OpenAIServer, ServerOptions


class OpenAICompatible(OpenAIServer, Chat):
    """Answers an ``Ask`` with the tokens of the model's reply."""

    path = "/chat/completions"

    class Options(ServerOptions, ChatOptions):
        token_limit: str = Field(default="max_tokens", pattern="^(max_tokens|max_completion_tokens)$")
        """The server's name for the limit of a reply. OpenAI's newer models need `max_completion_tokens`; other servers
        know only `max_tokens`."""
        resumes: bool | None = None
        """Whether the server continues the beginning of an answer that it is sent, as llama.cpp can. Otherwise a reply
        that broke off is requested again, and a beginning that repeats the spoken words is left out. By default, a
        server that lists its models as vLLM's does, and no other."""
        opens_reasoning: bool = False
        """Whether the server's chat template opens the reasoning itself, so that only its end mark (`</think>`) arrives.
        What comes before that mark is not spoken."""

    options: Options

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.resumes = bool(self.options.resumes)
        self.opens_reasoning = self.options.opens_reasoning
        self._is_vllm = False

    def learn(self, models: list[dict[str, Any]]) -> None:
        """vLLM continues an answer if the request says so: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""
        self._is_vllm = any(model.get("owned_by") == "vllm" for model in models)
        if self.options.resumes is None:
            self.resumes = self._is_vllm

    def body(self, ask: Ask) -> dict[str, Any]:
        body = super().body(ask)
        body[self.options.token_limit] = body.pop("max_completion_tokens")
        if ask.said and self._is_vllm:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body | {"stream_options": {"include_usage": True}}
