"""Members of a failover list: each with its deadlines, its retries, and a breaker that leaves it out after failures in a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import trio

from flowkit.clock import US_PER_S, chance
from flowkit.config.schema import Circuit, Retry
from flowkit.errors import ProviderError
from flowkit.options import us
from flowkit.plan.graph import ProviderChoice, Timeouts
from flowkit.providers.base import Provider
from flowkit.providers.cloud.faults import CloudError, Trouble

REMOTE_RETRY = {
    "asr": Retry(max=3, backoff=us("100ms")),
    "llm": Retry(max=1, backoff=us("50ms")),
    "tts": Retry(max=1, backoff=us("50ms")),
}
"""For providers that ask a server, where the file says nothing: a pooled connection may have gone stale."""
_ONCE = Retry(max=0)
LONGEST_WAIT_S = 5.0
"""What a wait for another attempt may take where there is no deadline: as long as the gate waits for a transcript."""


@dataclass(slots=True)
class Breaker:
    """Closed: the provider is asked. Open: it is left out until `open_until_us`, then asked once to see."""

    circuit: Circuit | None
    failures: int = 0
    open_until_us: int = 0

    def lets(self, now_us: int) -> bool:
        """Whether the provider may be asked now."""
        return now_us >= self.open_until_us

    def worked(self) -> None:
        """It gave all that was asked for; to give some of it and fail is a failure."""
        self.failures = self.open_until_us = 0

    def failed(self, error: ProviderError, now_us: int) -> bool:
        """It failed for good. True if it is left out from now on. A wrong key is not tried again to be sure, and a provider
        that says when to come again is taken at its word. That a request was too long is no fault of the provider."""
        if isinstance(error, CloudError) and error.trouble is Trouble.LENGTH:
            return False
        self.failures += 1
        wait_us = 0
        if isinstance(error, CloudError) and error.retry_after_us is not None:
            wait_us = error.retry_after_us
        if self.circuit is not None:
            lasting = isinstance(error, CloudError) and error.lasting
            if lasting or self.failures >= self.circuit.open_after:
                # A longer time that the provider asked for is kept.
                wait_us = max(wait_us, self.circuit.probe_every)
        self.open_until_us = now_us + wait_us
        return wait_us > 0


class Member:
    """One provider of the list."""

    def __init__(self, choice: ProviderChoice, provider: Provider) -> None:
        remote = provider.remote
        self.name = choice.name
        self.provider = provider
        self.timeouts = choice.timeouts
        self.retry = choice.retry or (REMOTE_RETRY.get(provider.kind, _ONCE) if remote else _ONCE)
        self.breaker = Breaker(choice.circuit or (Circuit() if remote else None))

    def wait_s(self, tries: int, error: ProviderError) -> float | None:
        """How long to wait before try number `tries` (2 or more) after `error`; None if another try makes no sense."""
        if tries > 1 + self.retry.max:
            return None
        asked_us = 0
        if isinstance(error, CloudError):
            if not error.passing:
                return None
            asked_us = error.retry_after_us or 0
        # The jitter keeps sessions that failed together from asking again together.
        wait_us = float(self.retry.backoff * 2 ** max(0, tries - 2)) * (1 + self.retry.jitter * (2 * chance() - 1))
        # Asked before that time, the provider would only refuse again.
        return max(wait_us, float(asked_us)) / US_PER_S


class Patience:
    """How long one member is waited for: until its first useful item since something was owed, then between items. Time in
    which the stage holds an item back does not count. `bind` says which scope pays when it ends."""

    def __init__(self, timeouts: Timeouts, *, flows: bool, owed: Callable[[], bool]) -> None:
        self._first_s = _seconds(timeouts.first_item_us)
        # A transcriber owes nothing between utterances, so only the time to its next transcript counts.
        self._idle_s = _seconds(timeouts.idle_us) if flows else self._first_s
        self._owed = owed
        self._scope: trio.CancelScope | None = None
        self._held = 0
        self.due_s = math.inf

    def bind(self, scope: trio.CancelScope) -> None:
        """A new attempt runs in `scope`."""
        self._scope = scope
        # An attempt that was cut off while the stage held an item never resumed.
        self._held = 0
        # The deadline is not set again: all attempts at one provider share it, or waits would add up.
        self.look()

    def look(self) -> None:
        """Something was fed, or is owed from now on."""
        if not self._owed():
            self.due_s = math.inf
        # A deadline that runs is kept: more input must not give the provider more time.
        elif self.due_s == math.inf:
            self.due_s = trio.current_time() + self._first_s
        self._apply()

    def covers(self, wait_s: float) -> bool:
        """Whether a wait of that length may come before the next attempt."""
        now_s = trio.current_time()
        longest_s = self._first_s if self._first_s < math.inf else LONGEST_WAIT_S
        # A wait up to the deadline would leave no time for an answer.
        return now_s + wait_s < min(self.due_s, now_s + longest_s)

    def hold(self) -> float:
        """The stage has an item to take; returns the time, for `resume`."""
        self._held += 1
        self._apply()
        return trio.current_time()

    def resume(self, since_s: float, *, useful: bool) -> None:
        """The stage has taken it."""
        self._held -= 1
        now_s = trio.current_time()
        # Without anything useful the deadline moves only by the time that the stage held the item.
        self.due_s = now_s + self._idle_s if useful else self.due_s + now_s - since_s
        self.look()

    def _apply(self) -> None:
        if self._scope is not None:
            self._scope.deadline = math.inf if self._held else self.due_s


def _seconds(us_: int | None) -> float:
    return math.inf if us_ is None else us_ / US_PER_S
