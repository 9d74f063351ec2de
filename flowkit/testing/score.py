"""Chunkers as callables for a scorer."""
from __future__ import annotations
from flowkit.chunker import Chunker, Rules

def _run(chunker: Chunker, tokens: list[str]) -> list[tuple[int, str]]:
    out = [(seen, chunk.text) for seen, token in enumerate(tokens, 1) for chunk in chunker.feed(token)]
    return out + [(len(tokens), chunk.text) for chunk in chunker.flush()]

def chunk(tokens: list[str], lang: str = "en") -> list[tuple[int, str]]:
    return _run(Chunker(Rules(language=lang)), tokens)

def chunk_sentences(tokens: list[str], lang: str = "en") -> list[tuple[int, str]]:
    return _run(Chunker(Rules(language=lang, mode="sentence", max_tokens=80)), tokens)
