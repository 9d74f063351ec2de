"""The deadlines that stages have set, in exact replay: each must fire in its instant, which is when its row was recorded."""

from __future__ import annotations

from collections.abc import Callable

from flowkit.messages import Timer
from flowkit.replay.difference import Difference, Diverged
from flowkit.stages.base import NEVER


class Deadlines:
    """The timers that stages have set. None is set for sooner than `soonest_us`."""

    def __init__(self) -> None:
        self._set: dict[tuple[str, str], int] = {}
        self._since_us: dict[tuple[str, str], int] = {}
        self.soonest_us = NEVER
        self.now_us = 0
        self.between: Callable[[int, int], bool] | None = None
        """Where rows are not folded in the order of time: whether any came from one time on and before another."""

    def at(self, stage: str, tag: str) -> int | None:
        """When one is set for."""
        return self._set.get((stage, tag))

    def set(self, stage: str, tag: str, at_us: int | None) -> None:
        """Set, move or take back."""
        self._passed((stage, tag))
        self.move(stage, tag, at_us)

    def move(self, stage: str, tag: str, at_us: int | None) -> None:
        """The same for one of which it is known that it has not been missed."""
        key = (stage, tag)
        if at_us is None:
            self._set.pop(key, None)
        else:
            self._set[key], self._since_us[key] = at_us, self.now_us
            if at_us < self.soonest_us:
                self.soonest_us = at_us

    def clear(self, stage: str) -> None:
        """Take back all of a stage."""
        for key in [key for key in self._set if key[0] == stage]:
            self._passed(key)
            del self._set[key]

    def fired(self, stage: str, tag: str, at_us: int) -> bool:
        """A timer's row was recorded. False if no such deadline is set."""
        if self._set.get((stage, tag)) != at_us:
            return False
        self._passed((stage, tag))
        del self._set[stage, tag]
        return True

    def out_of_order(self, begin_us: int, between: Callable[[int, int], bool]) -> None:
        """Rows from `begin_us` on come in no order of time; whoever folds them sets `now_us`."""
        self.advance(begin_us)
        self.between = between

    def in_order(self, end_us: int) -> None:
        """They were folded, the last of them at `end_us`. Raises Diverged if one came between a deadline and that."""
        self.now_us = end_us
        for key in self._set:
            self._passed(key)
        self.between = None

    def _passed(self, key: tuple[str, str]) -> None:
        """Raises Diverged if a row came between a deadline and now: it would have fired before that."""
        at_us = self._set.get(key)
        if self.between is None or at_us is None or at_us >= self.now_us:
            return
        if self.between(max(at_us, self._since_us[key]), self.now_us):
            raise Diverged(Difference(key[0], "a deadline did not fire in its instant", None, None, ("", 0)))

    def advance(self, now_us: int) -> None:
        """An instant is over: all of its deadlines must have fired."""
        if now_us > self.now_us:
            if self.soonest_us <= self.now_us:
                self.check(self.now_us)
            self.now_us = now_us

    def check(self, now_us: int) -> None:
        """Raises Diverged if a deadline up to `now_us` has not fired."""
        self.soonest_us = min(self._set.values(), default=NEVER)
        if self._set and self.soonest_us <= now_us:
            stage, tag = min(self._set, key=lambda key: (self._set[key], key))
            raise Diverged(
                Difference(stage, f"a deadline {tag!r} is set now that did not fire", None, Timer(tag), ("", 0))
            )
