"""Hypothesis strategies for tests of what is built with flowkit. Needs `hypothesis`."""

from flowkit.testing.strategies.chunking import (
    LANGUAGES,
    Reply,
    any_text,
    chunker_rules,
    markdown_documents,
    replies,
    token_streams,
)
from flowkit.testing.strategies.conversations import Conversation, conversations, interruptions
from flowkit.testing.strategies.sessions import (
    cancellation_instants,
    durations,
    interrupted,
    joined,
    provider_failures,
    provider_timings,
)

__all__ = [
    "LANGUAGES",
    "Conversation",
    "Reply",
    "any_text",
    "cancellation_instants",
    "chunker_rules",
    "conversations",
    "durations",
    "interrupted",
    "interruptions",
    "joined",
    "markdown_documents",
    "provider_failures",
    "provider_timings",
    "replies",
    "token_streams",
]
