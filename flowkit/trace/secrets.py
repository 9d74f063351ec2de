"""Which values of a plan and of the environment are secrets, so that no byte of a trace may hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NAMED = re.compile(r"(?i)key|token|secret|passw|auth|credential|cookie")
_TOKENS = re.compile(r"(?i)max_tokens|min_tokens|first_token|per_token|tokens")
_SHORTEST = 8


def secrets_of(plan: Any, environ: Mapping[str, str]) -> frozenset[str]:
    """The values of secret options, of options and mappings whose name says key, token, secret or the like (headers, say), and of
    variables so named. A value of the environment shorter than eight characters is no secret."""
    found = {value for name, value in environ.items() if _secret_name(name) and len(value) >= _SHORTEST}
    for stage in plan.stages:
        for choice in (stage.provider, *stage.failover):
            if choice is not None:
                found |= set(_within(dict(choice.options)))
    return frozenset(found)


def _secret_name(name: str) -> bool:
    return bool(_NAMED.search(name)) and not _TOKENS.search(name)


def _within(value: Any, secret: bool = False) -> Iterator[str]:
    if hasattr(value, "get_secret_value"):
        yield from _within(value.get_secret_value(), True)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _within(inner, secret or _secret_name(str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _within(inner, secret)
    elif isinstance(value, str) and secret and value:
        # "Bearer abc" is as secret without its first word.
        yield value
        yield from (word for word in value.split() if len(word) >= _SHORTEST)
