"""Makes one call, which can be cancelled at any of its answers, and whose answers can be accepted slowly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import trio

from flowkit.messages import Audio, Message
from flowkit.providers.base import Provider
from flowkit.testing.provider.calls import PacedItems
from flowkit.testing.provider.case import CallCase

_SOON_S = 0.005


@dataclass(frozen=True, slots=True)
class CancelPoint:
    """When a call is cancelled: at answer number `at`, counted from 1, while it waits in ``emit`` (`waiting`) or after that.

    0 is before the first answer. `when` is the same in words.
    """

    at: int
    waiting: bool
    when: str


def stops(items: list[Message]) -> Iterator[CancelPoint]:
    """The places at which to cancel a call that had the answers `items` before."""
    yield CancelPoint(0, True, "before its first answer")
    if items:
        yield CancelPoint(1, False, "at its first answer")
    sound = next((n for n, item in enumerate(items, 1) if isinstance(item, Audio)), 0)
    if sound > 1:
        yield CancelPoint(sound, False, "at its first Audio")
    if len(items) > 1:
        middle = len(items) // 2 + 1
        yield CancelPoint(middle, True, f"while its answer number {middle} waits in `emit`")


@dataclass
class CallResult:
    """The result of one call: its answers, the error that it raised, and whether it ended in time without being cancelled."""

    items: list[Message] = field(default_factory=list)
    error: Exception | None = None
    ended: bool = False
    at_once: int = 0
    """The most items that waited in ``emit`` at one time."""
    late: int = 0
    """Items that were emitted after the call was cancelled."""
    caught: bool = False
    """``emit`` raised trio.Cancelled, and the call went on or returned normally."""
    gone_s: float = 0.0
    """Time in seconds from the cancellation to the end of the call."""
    began_s: float = 0.0
    said_s: list[float] = field(default_factory=list)
    """When ``emit`` was called for each item, on Trio's clock."""


class _Listener:
    """The stage's side of a call: it accepts the answers and cancels the call."""

    def __init__(
        self, call: CallResult, scope: trio.CancelScope, stop: CancelPoint | None, enough: int, holds_s: float
    ) -> None:
        self._call = call
        self._scope = scope
        self._stop = stop
        self._enough = enough
        self._holds_s = holds_s
        self._waiting = 0
        self.told = set[trio.lowlevel.Task]()
        """The tasks in which ``emit`` has raised trio.Cancelled."""
        self.cancelled_s = 0.0

    def cancel(self) -> None:
        # The first time counts, because later answers cancel again.
        self.cancelled_s = self.cancelled_s or trio.current_time()
        self._scope.cancel()

    async def soon(self) -> None:
        await trio.sleep(_SOON_S)
        self.cancel()

    async def emit(self, item: Message) -> None:
        call, number = self._call, len(self._call.items) + 1
        # This task has seen the cancellation and emits all the same.
        call.caught |= trio.lowlevel.current_task() in self.told
        call.said_s.append(trio.current_time())
        self._waiting += 1
        call.at_once = max(call.at_once, self._waiting)
        if self._stop is not None and self._stop.waiting and number >= self._stop.at:
            self.cancel()
        try:
            await trio.sleep(self._holds_s)
        except trio.Cancelled:
            # A scope of the provider's own may have been cancelled instead, and then it may go on.
            if self._scope.cancel_called:
                self.told.add(trio.lowlevel.current_task())
            raise
        finally:
            self._waiting -= 1
        call.late += self._scope.cancel_called
        call.items.append(item)
        if len(call.items) in (self._stop.at if self._stop else None, self._enough):
            call.ended = True
            self.cancel()


async def called(
    provider: Provider, case: CallCase, within_s: float, *, stop: CancelPoint | None = None, holds_s: float = 0.0
) -> CallResult:
    """Make one call. It is cancelled at `stop`, if given, and after `within_s` seconds. Each item is accepted after `holds_s`."""
    call = CallResult(began_s=trio.current_time())
    scope = trio.CancelScope(deadline=call.began_s + within_s)
    listener = _Listener(call, scope, stop, case.enough, holds_s)
    async with trio.open_nursery() as nursery:
        if stop is not None and stop.at == 0:
            nursery.start_soon(listener.soon)
        with scope:
            try:
                await provider.call(case.request, PacedItems(case.fed), listener.emit)
                call.ended = True
                call.caught |= bool(listener.told)
            except Exception as error:
                call.error, call.ended = first(error), True
        # The task that cancels the call may still sleep.
        nursery.cancel_scope.cancel()
    if listener.cancelled_s:
        call.gone_s = trio.current_time() - listener.cancelled_s
    return call


def first(error: Exception) -> Exception:
    """The first error of a group, which is the one that caused the others; any other error as it is."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def named(error: Exception) -> str:
    """The type and the text of an error."""
    one = first(error)
    return f"{type(one).__name__}: {one}"
