"""``check_provider``: the calls that it makes, in order, and the faults that it reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
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
from flowkit.testing.provider.called import CallResult, CancelPoint, called, first, named, stops
from flowkit.testing.provider.calls import FRAME_BYTES, FakeSession
from flowkit.testing.provider.case import CallCase
from flowkit.testing.provider.declared import declared
from flowkit.testing.provider.kinds import all_at_once, cases, faults_of
from flowkit.testing.provider.left import left_generators, own_threads, present, tasks
from flowkit.testing.provider.stalls import LIMIT_US, StallLog
from flowkit.testing.provider.voice import A_LATER_CLAUSE, A_LONG_CLAUSE, A_SENTENCE, SENTENCES, lengthy

_SHARING = 3
"""Sessions that use one model at the same time."""
_LINGERS_US = 5_000_000
"""How long to wait for things that are still closing, such as the other end of a connection in this process."""
_TASKS_LINGER_S = 1.0
_ALONE = frozenset({"mic", "gate", "speaker"})
"""Kinds of which a machine has one device, so that several sessions at once are not tried."""


def check_provider(
    cls: type[Provider],
    options: Options | None = None,
    *,
    broken: Iterable[Options] = (),
    speech: bytes | None = None,
    within_s: float = 10.0,
    grace_s: float = 1.0,
) -> None:
    """Check a provider. It runs event loops of its own, on the real clock, and takes as long as about thirty calls.

    Args:
        cls: the class of the provider.
        options: the options to make it with. Default: the defaults of its ``Options``.
        broken: options with which it cannot work, such as a missing file or a wrong key. ``load`` or ``ready`` must raise an
            error of one line. If they do not, both ``probe`` and a call must.
        speech: audio for a VAD or an ASR, s16le mono at 16 kHz. Default: a buzz that some VADs take for speech.
        within_s: time in seconds within which a call must end if it is not cancelled.
        grace_s: time in seconds within which a cancelled call must end.

    Raises:
        Faults: the provider breaks its contract. The error lists all faults.
    """
    __tracebackhide__ = True  # pytest shows the faults, and not the frames below the test
    examination = _Examination(cls, cls.Options() if options is None else options, within_s, grace_s)
    heard = _buzz() if speech is None else speech
    found = list(declared(cls))
    # A class that is declared wrongly cannot be called.
    asked = [] if found else cases(cls, heard)
    if asked:
        found += examination.run(lambda: examination.calls(asked))
    if asked and not found:
        found += examination.run(lambda: examination.shares(asked[0])) if cls.kind not in _ALONE else []
        found += examination.leaves(asked[0])
    if asked:
        for number, wrong in enumerate(broken, 1):
            refusal = examination.refusal(number, wrong, asked[0])
            found += examination.run(refusal)
    found += examination.loads()
    if found:
        raise Faults(f"{cls.kind} provider {cls.name!r} ({cls.__qualname__})", found)


def _buzz() -> bytes:
    """1.5 s of a rough tone of 125 Hz that swells and fades, with 0.5 s of silence before and after."""
    wave = [3_000 + 400 * (i % 16) if i % 128 < 64 else -3_000 - 400 * (i % 16) for i in range(24_000)]
    swell = (sample * (4 - abs(i * 8 // 24_000 - 4)) // 4 for i, sample in enumerate(wave))
    sound = b"".join(sample.to_bytes(2, "little", signed=True) for sample in swell)
    silence = bytes(25 * FRAME_BYTES)
    return silence + sound + silence


class _Examination:
    """The checks of one provider class with one set of options."""

    def __init__(self, cls: type[Provider], options: Options, within_s: float, grace_s: float) -> None:
        self._cls = cls
        self._options = options
        self._within_s = within_s
        self._grace_s = grace_s
        self._found: list[str] = []
        self._calling = 0
        self._stall_log = StallLog(cls)

    def run(self, part: Callable[[], Awaitable[None]]) -> list[str]:
        """Run one part of the check in its own event loop, under a watchdog. Returns the faults that it found."""
        self._found = []

        async def main() -> None:
            with in_real_time(), Watchdog(self._stalled, LIMIT_US):
                await part()

        with left_generators() as left:
            try:
                trio.run(main)
            except FlowkitError as error:
                self._add(f"cannot be made ready: {error}")
            except Exception as error:
                self._add(f"raises {named(error)} while it is loaded, made ready or closed")
        for name in left:
            self._add(f"leaves async generator {name} half-way: close it with contextlib.aclosing")
        return self._found + list(self._stall_log.in_calls())

    def loads(self) -> list[str]:
        """Faults that were seen while it was loaded."""
        return list(self._stall_log.while_loaded())

    def _add(self, fault: str) -> None:
        self._found.append(fault)

    def _stalled(self, stall: Stall) -> None:
        self._stall_log.stalled(stall, calling=bool(self._calling))

    # -- parts ------------------------------------------------------------------------------------------------------

    async def calls(self, asked: list[CallCase]) -> None:
        """Make the calls of one session."""
        async with opened(self._cls, self._options, FakeSession().around()) as provider:
            calls = {case.title: await self._ordinary(provider, case) for case in asked}
            self._long(calls)
            self._streams(calls.values())
            if self._found:
                return  # the following checks would report the same faults
            await self._cancelled(provider, asked[0], calls)
            if not self._found:
                await self._slowly(provider, lengthy(asked[0]))
            await self._probed(provider)

    async def shares(self, case: CallCase) -> None:
        """Call the provider in several sessions at once that share a model."""
        async with open_models(lambda line: None) as models:

            async def session(number: int) -> None:
                async with opened(self._cls, self._options, FakeSession().around(), models) as provider:
                    # A model that answers one call at a time serves them one after another.
                    call = await self._call(provider, case, waits_s=_SHARING * self._within_s)
                    for fault in self._judged(case, call):
                        self._add(f"while {_SHARING} sessions share it: {fault}")

            async with trio.open_nursery() as nursery:
                for number in range(_SHARING):
                    nursery.start_soon(session, number)

    def refusal(self, number: int, options: Options, case: CallCase) -> Callable[[], Awaitable[None]]:
        """The part that checks the errors for one set of `broken` options. `number` counts them from 1."""
        title = f"broken options {number} ({self._other(options)})"

        async def refuses() -> None:
            try:
                with trio.fail_after(6 * self._within_s):
                    async with opened(self._cls, options, FakeSession().around()) as provider:
                        await self._refuses(provider, title, case)
            except trio.TooSlowError:
                self._add(f"{title}: no error within {6 * self._within_s:.0f} s")
            except Exception as error:
                self._told(error, title)

        return refuses

    async def _refuses(self, provider: Provider, title: str, case: CallCase) -> None:
        """Check that ``probe`` and a call raise readable errors, since loading did not."""
        try:
            await provider.probe()
        except Exception as error:
            self._told(error, f"{title}: its probe")
        else:
            self._add(f"{title}: it is loaded and made ready without an error, and its probe raises no error")
        call = await self._call(provider, case)
        if call.error is not None:
            self._told(call.error, f"{title}: {case.title}")
        elif not call.ended:
            self._add(f"{title}: {case.title}: {self._not_ended(call)}; it must raise a ProviderError")
        elif call.items and not case.enough:
            self._add(f"{title}: {case.title} is answered instead of raising an error: {_quoted(call.items)}")
        else:
            self._add(f"{title}: {case.title}: the call returns without an error")

    def leaves(self, case: CallCase) -> list[str]:
        """Run more sessions: one complete, others cancelled during a call and while loading. Check that nothing is left that
        was not there before."""
        with own_threads() as ours:
            before = present(ours)
            found = self.run(lambda: self._sessions(case))
            left = present(ours) - before
            ends_us = monotonic_us() + _LINGERS_US
            while left and monotonic_us() < ends_us:
                trio.run(trio.sleep, 0.01)
                left = present(ours) - before
        return found + [
            f"leaves behind: {what}" + (f" ({count} of them)" if count > 1 else "")
            for what, count in sorted(left.items())
        ]

    async def _sessions(self, case: CallCase) -> None:
        before = tasks()
        async with opened(self._cls, self._options, FakeSession().around()) as provider:
            await self._call(provider, case)
        for after_s in (0.0, 0.01, None):
            with trio.CancelScope() as scope:
                if after_s is not None:
                    scope.deadline = trio.current_time() + after_s
                async with opened(self._cls, self._options, FakeSession().around()) as provider:
                    await self._call(provider, case, stop=CancelPoint(1, False, ""))
                    scope.cancel()
        with trio.move_on_after(_TASKS_LINGER_S):
            while tasks() - before:
                await trio.sleep(0.01)
        for name in sorted({task.name for task in tasks() - before}):
            self._add(f"leaves behind: task {name}")

    # -- calls ------------------------------------------------------------------------------------------------------

    async def _ordinary(self, provider: Provider, case: CallCase) -> CallResult:
        call = await self._call(provider, case)
        for fault in self._judged(case, call):
            self._add(fault)
        return call

    async def _cancelled(self, provider: Provider, case: CallCase, calls: dict[str, CallResult]) -> None:
        """Cancel a call before, at, and between its answers, and check that the next call is correct."""
        whole = _sound(calls[case.title])
        # Only a voice that speaks a clause the same way each time can be compared.
        steady = bool(whole) and A_LATER_CLAUSE in calls and _sound(calls[A_LATER_CLAUSE]) == whole
        for stop in stops(calls[case.title].items):
            call = await self._call(provider, case, stop=stop)
            if call.late:
                self._add(f"{case.title}: cancelled {stop.when}, it emits more answers")
            if call.caught:
                self._add(f"{case.title}: cancelled {stop.when}, it catches trio.Cancelled and goes on")
            if call.error is not None:
                self._add(f"{case.title}: cancelled {stop.when}, it raises {named(call.error)}")
            again = await self._call(provider, case)
            for fault in self._judged(case, again):
                self._add(f"after a call that was cancelled {stop.when}: {fault}")
            if steady and again.ended and _sound(again) != whole:
                self._add(f"after a call that was cancelled {stop.when}: {case.title} has other audio than before")
            if not again.ended:
                return  # it would hang again

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
        once, all_ = (len(_sound(calls[title])) // 2 for title in (A_SENTENCE, A_LONG_CLAUSE))
        if all_ < once * (SENTENCES - 1.5):
            self._add(
                f"{A_LONG_CLAUSE}: for a sentence it emits {once} samples, for {SENTENCES} times the same sentence only {all_}"
            )

    def _streams(self, calls: Iterable[CallResult]) -> None:
        """Check that an LLM emits tokens as they come, unless it declares that it does not."""
        replies = [call for call in calls if call.ended and call.error is None]
        if self._cls.kind == "llm" and self._cls.streams and all_at_once([(c.began_s, c.said_s) for c in replies]):
            self._add(
                "emits all tokens of a reply at once, at its end: emit each as it comes, or set `streams = False`"
            )

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
            yield f"{case.title}: {self._not_ended(call)}"
            return
        items = call.items
        if self._cls.silent and not items:
            return
        yield from faults_of(case, items)

    def _not_ended(self, call: CallResult) -> str:
        return f"not ended after {self._within_s:g} s (`within_s`), with {len(call.items)} answers so far"

    def _failed(self, case: CallCase, error: Exception) -> Iterator[str]:
        if isinstance(error, FlowkitError) and not (case.may_refuse and isinstance(error, ProviderError)):
            yield f"{case.title}: fails: {error}"
            return
        yield from (f"{case.title}: {fault}" for fault in self._of_error(error))

    def _told(self, error: Exception, title: str) -> None:
        """Check that an error which is expected is readable."""
        for fault in self._of_error(first(error)):
            self._add(f"{title}: {fault}")

    def _of_error(self, error: Exception) -> Iterator[str]:
        if not isinstance(error, FlowkitError):
            yield f"raises {named(error)}; it must raise a ProviderError"
        elif not str(error) or "\n" in str(error):
            yield f"the error must have one line, and is {str(error)!r}"
        elif isinstance(error, ProviderError) and not str(error).startswith(
            (f"{self._cls.kind} {self._cls.name}", self._cls.name)
        ):
            yield f"the error must begin with the provider's name, `{self._cls.kind} {self._cls.name}: `, and is {str(error)!r}"

    def _other(self, options: Options) -> str:
        """How these options differ from those that work. Keys are shown as stars."""
        fields = type(options).model_fields
        missing = object()
        other = [name for name in fields if getattr(options, name) != getattr(self._options, name, missing)]
        return ", ".join(f"{name}={getattr(options, name)!r}" for name in other) or "equal to those that work"

    async def _call(
        self,
        provider: Provider,
        case: CallCase,
        *,
        stop: CancelPoint | None = None,
        holds_s: float = 0.0,
        waits_s: float | None = None,
    ) -> CallResult:
        """Make one call, and check how long it took to end once it was cancelled."""
        self._calling += 1
        try:
            call = await called(provider, case, waits_s or self._within_s, stop=stop, holds_s=holds_s)
        finally:
            self._calling -= 1
        if call.gone_s > self._grace_s:
            self._add(
                f"a cancelled call ends only after {call.gone_s:.1f} s; its grace period is {self._grace_s:g} s (`grace_s`)"
            )
        return call


def _sound(call: CallResult) -> bytes:
    return b"".join(item.pcm for item in call.items if isinstance(item, Audio))


def _quoted(items: list[Message]) -> str:
    texts = [str(getattr(item, "text", "")) for item in items]
    return repr("".join(texts)[:60]) if any(texts) else f"{len(items)} items, such as a {type(items[0]).__name__}"
