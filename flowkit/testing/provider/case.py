"""One call of ``check_provider``, and the check of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flowkit.messages import Message


@dataclass(frozen=True, slots=True)
class CallCase:
    """One call to make.

    `enough` is the number of answers after which a call without an end is cancelled (0: it ends by itself). `says`:
    there must be an answer. `may_refuse`: a ProviderError is allowed.
    """

    title: str
    request: Message
    fed: tuple[Message, ...] = ()
    enough: int = 0
    says: bool = True
    may_refuse: bool = False


Judge = Callable[[CallCase, list[Message]], Iterator[str]]
"""Checks the answers to a call. Yields one line for each fault."""
