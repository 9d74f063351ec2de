"""Hypothesis strategies for testing what is built with flowkit. Needs `hypothesis`."""

from flowkit.testing.strategies.chunking import (
    LANGUAGES,
    Reply,
    any_text,
    chunker_rules,
    markdown_documents,
    replies,
    token_streams,
)

__all__ = [
    "LANGUAGES",
    "Reply",
    "any_text",
    "chunker_rules",
    "markdown_documents",
    "replies",
    "token_streams",
]
