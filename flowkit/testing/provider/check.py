"""``check_provider``: the calls that it makes, in order, and the faults that it reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from flowkit.clock import monotonic_us
from flowkit.errors import FlowkitError, ProviderError
from flowkit.messages import Audio, Message
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.providers.models import open_models, opened
from flowkit.runtime.realtime import in_real_time
from flowkit.runtime.watchdog import Stall, Watchdog
from flowkit.testing.faults import Faults
from flowkit.testing.provider.calls import FRAME_BYTES, FakeSession, PacedItems
from flowkit.testing.provider.declared import declared
from flowkit.testing.provider.kinds import A_CLAUSE, A_LONG_CLAUSE, LONG, SHORT, CallCase, cases, faults_of, lengthy
from flowkit.testing.provider.left import present

_HELD_US = 50_000
"""A step of the event loop that takes longer is a fault. In a session the watchdog reports 20 ms already."""
_AGAIN = 3
_SHARING = 3
"""Sessions that use one model at the same time."""
_LINGERS_US = 5_000_000
"""How long to wait for things that are still closing, such as the other end of a connection in this process."""
_SOON_S = 0.005
_ALONE = frozenset({"mic", "gate", "speaker"})
"""Kinds of which a machine has one device, so that several sessions at once are not tried."""


@dataclass
class CallResult:
    """The result of one call: its answers, the error that it raised, and whether it ended in time without being
    cancelled."""

    items: list[Message] = field(default_factory=list)
    error: Exception | None = None
    ended: bool = False
    at_once: int = 0
    """The most items that waited in ``emit`` at one time."""
    late: int = 0
    """Items that were emitted after the call was cancelled."""


def check_provider(
    cls: type[Provider],
    options: Options | None = None,
    *,
    broken: Iterable[Options] = (),
    speech: bytes | None = None,
    silent: bool = False,
    within_s: float = 10.0,
    grace_s: float = 1.0,
) -> None:
    """Check a provider. It runs event loops of its own, on the real clock, and takes as long as about twenty calls.

    Args:
        cls: the class of the provider. options: the options to make it with. Default: the defaults of its ``Options``.
        broken: options with which it cannot work, such as a missing file or a wrong key. ``load``, ``ready`` or
        ``probe`` must
            raise an error of one line.
        speech: audio for a VAD or an ASR, s16le mono at 16 kHz. Default: a buzz that some VADs take for speech.
        silent: True for a TTS that emits no audio, such as one that prints.
        within_s: time in seconds within which a call must end if it is not cancelled.
        grace_s: time in seconds within which a cancelled call must end.

    Raises:
        Faults: the provider breaks its contract. The error lists all faults.
    """
    examination = _Examination(cls, cls.Options() if options is None else options, within_s, grace_s, silent=silent)
    heard = _buzz() if speech is None else speech
    found = list(declared(cls))
    if not found:
        asked = cases(cls, heard)
        found += examination.run(lambda: examination.calls(asked))
    if not found:
        found += examination.run(lambda: examination.shares(asked[0])) if cls.kind not in _ALONE else []
        found += examination.leaves(asked[0])
    for wrong in broken:
        found += examination.run(lambda wrong=wrong: examination.refuses(wrong))  # type: ignore[misc]
    if found:
        raise Faults(f"{cls.kind} provider {cls.name!r} ({cls.__qualname__})", list(dict.fromkeys(found)))


def _buzz() -> bytes:
    """1.5 s of a rough tone of 125 Hz that swells and fades, with 0.5 s of silence before and after."""
    wave = [3_000 + 400 * (i % 16) if i % 128 < 64 else -3_000 - 400 * (i % 16) for i in range(24_000)]
    swell = (sample * (4 - abs(i * 8 // 24_000 - 4)) // 4 for i, sample in enumerate(wave))
    sound = b"".join(sample.to_bytes(2, "little", signed=True) for sample in swell)
    silence = bytes(25 * FRAME_BYTES)
    return silence + sound + silence


class _Examination:
    """The checks of one provider class with one set of options."""

    def __init__(self, cls: type[Provider], options: Options, within_s: float, grace_s: float, *, silent: bool) -> None:
        self._cls = cls
        self._options = options
        self._within_s = within_s
        self._grace_s = grace_s
        self._silent = silent
        self._found: list[str] = []
        self._calling = 0
        self._stalls: dict[str, list[int]] = {}

    def run(self, part: Callable[[], Awaitable[None]]) -> list[str]:
        """Run one part of the check in its own event loop, under a watchdog. Returns the faults that it found."""
        self._found, self._stalls = [], {}

        async def main() -> None:
            with in_real_time(), Watchdog(self._stalled, _HELD_US):
                await part()

        try:
            trio.run(main)
        except FlowkitError as error:
            self._add(f"cannot be made ready: {error}")
        except Exception as error:
            self._add(f"raises {_named(error)} while it is loaded, made ready or closed")
        return self._found + list(self._holds())

    def _add(self, fault: str) -> None:
        self._found.append(fault)

    def _stalled(self, stall: Stall) -> None:
        """Record a stall during a call. Stalls while a library loads its weights are ignored: an author cannot avoid
        them."""
        if stall.held and self._calling:
            lines = [line.strip() for line in stall.stack.splitlines() if line.strip().startswith("File")]
            self._stalls.setdefault(lines[-1] if lines else stall.task, []).append(stall.lasted_us)

    def _holds(self) -> Iterator[str]:
        """Yield a fault for each place that blocked the loop several times. On a busy machine anything may be slow
        once."""
        for where, lasted_us in self._stalls.items():
            if len(lasted_us) >= _AGAIN:
                yield f"blocks the event loop for {sorted(lasted_us)[len(lasted_us) // 2] // 1000} ms ({where})"

    # -- parts ------------------------------------------------------------------------------------------------------

    async def calls(self, asked: list[CallCase]) -> None:
        """Make the calls of one session."""
        async with opened(self._cls, self._options, FakeSession().around()) as provider:
            calls = {case.title: await self._ordinary(provider, case) for case in asked}
            self._long(calls)
            if self._found:
                return  # the following checks would report the same faults
            await self._cancelled(provider, asked[0])
            await self._slowly(provider, lengthy(self._cls, asked[0]))
            await self._probed(provider)

    async def shares(self, case: CallCase) -> None:
        """Call the provider in several sessions at once that share a model."""
        async with open_models(lambda line: None) as models:

            async def session(number: int) -> None:
                async with opened(self._cls, self._options, FakeSession().around(), models) as provider:
                    call = await self._call(provider, case, waits_s=_SHARING * self._within_s)
                    for fault in self._judged(case, call):
                        self._add(f"while {_SHARING} sessions share it: {fault}")

            async with trio.open_nursery() as nursery:
                for number in range(_SHARING):
                    nursery.start_soon(session, number)

    async def refuses(self, options: Options) -> None:
        """Check that options with which it cannot work give a readable error."""
        try:
            with trio.fail_after(6 * self._within_s):
                async with opened(self._cls, options, FakeSession().around()) as provider:
                    await provider.probe()
        except FlowkitError as error:
            self._one_line(error, "options that cannot work")
        except trio.TooSlowError:
            self._add(f"options that cannot work: no error within {6 * self._within_s:.0f} s")
        except Exception as error:
            if isinstance(_first(error), FlowkitError):
                self._one_line(_first(error), "options that cannot work")
                return
            self._add(f"options that cannot work: raises {_named(error)} instead of a ProviderError")
        else:
            self._add("options that cannot work: it is loaded and made ready without an error")

    def leaves(self, case: CallCase) -> list[str]:
        """Cancel a second session during a call and while loading, and check that nothing is left that was not there
        before."""
        before = present()

        async def cut_off() -> None:
            for after_s in (0.0, 0.01, None):
                with trio.CancelScope() as scope:
                    if after_s is not None:
                        scope.deadline = trio.current_time() + after_s
                    async with opened(self._cls, self._options, FakeSession().around()) as provider:
                        await self._call(provider, case, cancel_at=1)
                        scope.cancel()

        found = self.run(cut_off)
        left = present() - before
        ends_us = monotonic_us() + _LINGERS_US
        while left and monotonic_us() < ends_us:
            trio.run(trio.sleep, 0.01)
            left = present() - before
        return found + [
            f"leaves behind: {what}" + (f" ({count} of them)" if count > 1 else "")
            for what, count in sorted(left.items())
        ]

    # -- calls ------------------------------------------------------------------------------------------------------

    async def _ordinary(self, provider: Provider, case: CallCase) -> CallResult:
        call = await self._call(provider, case)
        for fault in self._judged(case, call):
            self._add(fault)
        return call

    async def _cancelled(self, provider: Provider, case: CallCase) -> None:
        """Cancel a call before its first answer and at it, and check that the next call is correct."""
        for at, when in ((0, "before its first answer"), (1, "at its first answer")):
            call = await self._call(provider, case, cancel_at=at)
            if call.late:
                self._add(f"{case.title}: cancelled {when}, it emits more answers")
            if call.error is not None:
                self._add(f"{case.title}: cancelled {when}, it raises {_named(call.error)}")
            again = await self._call(provider, case)
            for fault in self._judged(case, again):
                self._add(f"after a call that was cancelled {when}: {fault}")

    async def _slowly(self, provider: Provider, case: CallCase) -> None:
        call = await self._call(provider, case, holds_s=0.02)
        if call.at_once > 1:
            self._add(f"emits {call.at_once} items at once to a slow stage; each must be accepted before the next")
        for fault in self._judged(case, call):
            self._add(f"to a slow stage: {fault}")

    def _long(self, calls: dict[str, CallResult]) -> None:
        """Check that a TTS speaks all of a long clause, not only its beginning."""
        if A_LONG_CLAUSE not in calls:
            return
        both = (calls[title].items for title in (A_CLAUSE, A_LONG_CLAUSE))
        short, long = (sum(item.samples for item in items if isinstance(item, Audio)) for items in both)
        if long < short * len(LONG) / len(SHORT) / 4:
            self._add(f"for {len(LONG)} characters it emits only {long} samples; for {len(SHORT)}, {short}")

    async def _probed(self, provider: Provider) -> None:
        try:
            said: Any = await provider.probe()
        except FlowkitError as error:
            self._add(f"its probe fails: {error}")
            return
        if not isinstance(said, str):
            self._add(f"its probe returns {type(said).__name__}, not str")

    def _judged(self, case: CallCase, call: CallResult) -> Iterator[str]:
        if call.error is not None:
            yield from self._failed(case, call.error)
            return
        if not call.ended:
            yield f"{case.title}: not ended after {self._within_s:g} s"
            return
        items = call.items
        if self._silent and not items:
            return
        yield from faults_of(case, items)

    def _failed(self, case: CallCase, error: Exception) -> Iterator[str]:
        if not isinstance(error, FlowkitError):
            yield f"{case.title}: raises {_named(error)}; an error must be a ProviderError"
        elif not (case.may_refuse and isinstance(error, ProviderError)):
            yield f"{case.title}: fails: {error}"
        elif "\n" in str(error):
            yield f"{case.title}: its error has more than one line: {str(error)!r}"

    def _one_line(self, error: Exception, title: str) -> None:
        if not str(error) or "\n" in str(error):
            self._add(f"{title}: the error must have one line, and is {str(error)!r}")

    async def _call(
        self,
        provider: Provider,
        case: CallCase,
        *,
        cancel_at: int | None = None,
        holds_s: float = 0.0,
        waits_s: float | None = None,
    ) -> CallResult:
        """Make one call. It is cancelled at item number `cancel_at`, if given. Each item is accepted after `holds_s`
        seconds."""
        call, waiting, cancelled_s = CallResult(), 0, 0.0
        scope = trio.CancelScope(deadline=trio.current_time() + (waits_s or self._within_s))

        def cancel() -> None:
            nonlocal cancelled_s
            cancelled_s = trio.current_time()
            scope.cancel()

        async def emit(item: Message) -> None:
            nonlocal waiting
            waiting += 1
            call.at_once = max(call.at_once, waiting)
            try:
                await trio.sleep(holds_s)
            finally:
                waiting -= 1
            call.late += scope.cancel_called
            call.items.append(item)
            if len(call.items) in (cancel_at, case.enough):
                call.ended = True
                cancel()

        async def soon() -> None:
            await trio.sleep(_SOON_S)
            cancel()

        async with trio.open_nursery() as nursery:
            if cancel_at == 0:
                nursery.start_soon(soon)
            self._calling += 1
            with scope:
                try:
                    await provider.call(case.request, PacedItems(case.fed), emit)
                    call.ended = True
                except Exception as error:
                    call.error, call.ended = _first(error), True
            self._calling -= 1
            nursery.cancel_scope.cancel()
        if scope.cancel_called and cancelled_s:
            took_s = trio.current_time() - cancelled_s
            if took_s > self._grace_s:
                self._add(f"a cancelled call ends only after {took_s:.1f} s; its grace period is {self._grace_s:g} s")
        return call


def _first(error: Exception) -> Exception:
    """The first error of a group, which is the one that caused the others; any other error as it is."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _named(error: Exception) -> str:
    first = _first(error)
    return f"{type(first).__name__}: {first}"
