"""An LLM with fixed replies: the last entry of a failover list, or a first trial of a pipeline.

{kind: llm, provider: canned, text: "Sorry, one moment please."}
"""

from __future__ import annotations

import re

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.messages import Ask, Done, Message, Token
from flowkit.providers.inline import Answer, InlineCall, InlineProvider

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+")


class Canned(InlineProvider):
    """Answers turn n with the nth of `replies`, and later turns with `text`. Emits one token per word, without
    delay."""

    kind = "llm"
    name = "canned"

    class Options(opt.Options):
        text: str = "Sorry, I have no answer to that."
        """The reply to every turn."""
        replies: tuple[str, ...] = ()
        """Replies for the first turns, one for each, instead of `text`."""

    options: Options

    def open(self, request: Message) -> InlineCall:
        if not isinstance(request, Ask):
            raise ProviderError(f"llm canned: cannot answer {type(request).__name__}")
        replies = self.options.replies
        text = replies[request.turn - 1] if 0 < request.turn <= len(replies) else self.options.text
        tokens = (Answer(0, Token(index, word)) for index, word in enumerate(_WORD.findall(text)))
        return InlineCall(opened=lambda: (*tokens, Answer(0, Done())))
