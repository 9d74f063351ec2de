"""What the chunker's tests share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from flowkit.chunker import Chunk, Chunker, Rules

Run = Callable[..., list[Chunk]]


def run_chunker(tokens: str | Sequence[str], rules: Rules) -> list[Chunk]:
    chunker = Chunker(rules)
    pieces = [tokens] if isinstance(tokens, str) else tokens
    return [chunk for token in pieces for chunk in chunker.feed(token)] + chunker.flush()


@pytest.fixture
def texts() -> Callable[..., list[str]]:
    """The stripped texts of a reply's chunks."""

    def run(tokens: str | Sequence[str], rules: Rules | None = None, language: str = "en") -> list[str]:
        return [chunk.text.strip() for chunk in run_chunker(tokens, rules or Rules(language=language))]

    return run
