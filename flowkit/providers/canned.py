"""An LLM that always says the same: the last resort of a failover list, and a pipeline's first trial.

{kind: llm, provider: canned, text: "Sorry, one moment please."}
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.messages import Ask, Message, Token
from flowkit.providers.base import Emit, Provider

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+")


class Canned(Provider):
    """Answers turn n with the nth of `replies`, and with `text` when those are used up; word by word, without delay."""

    kind = "llm"
    name = "canned"

    class Options(opt.Options):
        text: str = "Sorry, I have no answer to that."
        """What is said to everything."""
        replies: tuple[str, ...] = ()
        """What is said in the first turns instead, one for each."""

    options: Options

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Ask):
            raise ProviderError(f"llm canned: cannot answer {type(request).__name__}")
        replies = self.options.replies
        text = replies[request.turn - 1] if 0 < request.turn <= len(replies) else self.options.text
        for index, word in enumerate(_WORD.findall(text)):
            await emit(Token(index, word))
