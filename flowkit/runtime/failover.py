"""Failover: several providers act as one, so that a stage, the engine and the trace see one provider.

A call is one `Work` (``handover``). It may take several attempts: at one provider within its deadlines and retries
(``circuit``), then at the next. The journal holds what the stage got, so a replay needs neither the network nor this
module. Each attempt is an event in the trace.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import count

import trio

from flowkit.clock import US_PER_S, whole_ms
from flowkit.errors import FlowkitError, ProviderError
from flowkit.messages import Ask, ClauseEnded, Message, Narrate, Speak, Usage
from flowkit.plan.graph import PlannedStage
from flowkit.plural import counted
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError, Trouble
from flowkit.providers.loading import lone_error
from flowkit.providers.models import Models, opened
from flowkit.runtime.circuit import Member, Patience
from flowkit.runtime.fed import Reader
from flowkit.runtime.handover import NarrationWork, TranscriptionWork, Work, work_for


class Ending(Enum):
    """How the attempts at one provider ended."""

    DONE = auto()
    FAILED = auto()
    RELIEVED = auto()
    """A preferred provider may be asked again."""


@dataclass(slots=True)
class Attempts:
    """The attempts of one call at one provider.

    `numbers` gives each attempt of the call, at whichever provider, its number. `tries` counts those at this one since the
    call began. For work that is done piece by piece (``Work.lasting``), it counts them since the last piece. `useful`: the
    provider gave something. `relieved`: a preferred provider may be asked again.
    """

    member: Member
    patience: Patience
    numbers: Iterator[int]
    tries: int = 0
    useful: bool = False
    relieved: bool = False
    error: ProviderError | None = None


@asynccontextmanager
async def resilient(stage: PlannedStage, around: Surroundings, models: Models) -> AsyncIterator[Provider]:
    """The stage's provider, ready to be called. If the stage has a failover list, all of its providers act as one. A provider
    that cannot be used is then left out, with a notice.

    Raises:
        FlowkitError: none can be used; what the first one raised.
    """
    first = stage.provider
    assert first is not None
    if not (stage.resilient or stage.failover):
        here = replace(around, stage=stage.options, connect_us=first.timeouts.connect_us)
        async with opened(first.cls, first.options, here, models) as provider:
            yield provider
        return
    members: list[Member] = []
    errors: list[FlowkitError] = []
    async with AsyncExitStack() as stack:
        for choice in (first, *stage.failover):
            here = replace(around, stage=stage.options, connect_us=choice.timeouts.connect_us)
            try:
                provider = await stack.enter_async_context(opened(choice.cls, choice.options, here, models))
            except FlowkitError as error:
                errors.append(error)
                why = str(error).removeprefix(f"{stage.kind} {choice.name}: ")
                around.notice(f"{stage.id}: {choice.name} is left out: {why}")
                around.event(around.now_us(), "left_out", f"{stage.kind} {choice.name}: {error}")
            else:
                members.append(Member(choice, provider))
        if not members:
            # The first provider is the one that the user asked for.
            raise errors[0]
        yield Resilient(stage.kind, members, replace(around, stage=stage.options))


class Resilient(Provider):
    """Several providers that act as one, in order of preference."""

    kind = "resilient"
    name = "failover"

    def __init__(self, kind: str, members: list[Member], around: Surroundings) -> None:
        super().__init__(None, around)
        self.stage_kind = kind
        self.members = members
        self.title = members[0].name

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        work = work_for(request, self.around)
        if work is None:
            await self.members[0].provider.call(request, fed, emit)
            return
        with lone_error():
            async with trio.open_nursery() as nursery:
                await self._run(work, fed, _Outlet(emit).emit, nursery)
                # The task that fills the tape waits for the stage's next item and would not end by itself.
                nursery.cancel_scope.cancel()

    async def _run(self, work: Work, fed: AsyncIterator[Message], emit: Emit, nursery: trio.Nursery) -> None:
        watch = _Watch(work)
        if isinstance(work, (NarrationWork, TranscriptionWork)):
            nursery.start_soon(work.tape.fill, fed, watch.seen)
        tried: list[Member] = []
        failures: dict[str, str] = {}
        numbers = count(1)
        while (member := self._next(tried)) is not None:
            part = Attempts(member, Patience(member.timeouts, flows=work.flows, owed=lambda: work.owed), numbers)
            watch.patience = part.patience
            end = await self._part(part, work, emit)
            if end is Ending.DONE:
                return
            # A transcription lasts as long as the session, so a provider that failed long ago may be asked again.
            if end is Ending.RELIEVED or (part.useful and work.lasting):
                tried = []
            if end is Ending.FAILED:
                tried.append(member)
                failures[member.name] = str(part.error)
        raise ProviderError("; ".join(failures.values()) if len(failures) < 2 else _all(failures))

    def _next(self, tried: list[Member]) -> Member | None:
        """The first provider that was not tried and whose circuit is closed. If there is none, the first that was not tried."""
        untried = [member for member in self.members if member not in tried]
        now_us = self.around.now_us()
        # If every circuit is open one is asked all the same: to ask nobody would be certain failure.
        return next((member for member in untried if member.breaker.lets(now_us)), untried[0] if untried else None)

    # -- one provider's part ----------------------------------------------------------------------------------------

    async def _part(self, part: Attempts, work: Work, emit: Emit) -> Ending:
        member = part.member
        while True:
            began_us = self.around.now_us()
            part.tries += 1
            part.error = await self._attempt(part, work, emit)
            lasted_ms = whole_ms(self.around.now_us() - began_us)
            if part.error is None:
                member.breaker.worked()
                if part.relieved:
                    self._tell("failover", f"{member.name}: a preferred provider may be asked again")
                    return Ending.RELIEVED
                self._tell("attempt", f"{member.name} {part.tries}: done after {lasted_ms} ms")
                return Ending.DONE
            wait_s = member.wait_s(part.tries + 1, part.error)
            again = wait_s is not None and part.patience.covers(wait_s)
            # The failure came after the last word, so nothing is missing.
            if work.complete:
                return Ending.DONE
            said = f"{member.name} {part.tries}: failed after {lasted_ms} ms ({_kind(part.error)}): {part.error}"
            if _to_be_shortened(part.error, work):
                self._tell("attempt", f"{said}; to be asked with less past")
                raise part.error
            if not again or wait_s is None:
                left_out = member.breaker.failed(part.error, self.around.now_us())
                self._tell("attempt", f"{said}; {'left out for now' if left_out else 'given up for this call'}")
                return Ending.FAILED
            self._tell("attempt", f"{said}; again in {whole_ms(round(wait_s * US_PER_S))} ms")
            await trio.sleep(wait_s)

    async def _attempt(self, part: Attempts, work: Work, emit: Emit) -> ProviderError | None:
        """Make one attempt. Returns why it failed, or None if it succeeded or a preferred provider may be asked again."""
        member, patience = part.member, part.patience
        part.error = None
        request = work.begin(member.provider)
        # Every word may have sounded before the failure, and an empty text is no request.
        if work.complete:
            return None
        scope = trio.CancelScope()
        number, place = next(part.numbers), self.members.index(member)

        async def take(item: Message) -> None:
            if isinstance(item, Usage):
                await emit(replace(item, attempt=number, place=place))
                return
            useful = work.useful(item)
            since_s = patience.hold()
            await work.take(item, emit)
            patience.resume(since_s, useful=useful)
            part.useful |= useful
            if isinstance(work, TranscriptionWork) and useful:
                part.error = self._heard(part, work)
                part.relieved = work.idle and self._preferred(member)
                # A transcriber does not return by itself before the session ends.
                if part.error or part.relieved:
                    scope.cancel()

        with scope:
            patience.bind(scope)
            try:
                await drive(member.provider, request, work.fed(), take)
                await work.end(emit)
                return None
            except ProviderError as error:
                return error
            except Exception as error:  # a provider's defect is a provider's failure
                return ProviderError(f"{member.name}: {type(error).__name__}: {error}")
        return self._cut_off(part)

    def _cut_off(self, part: Attempts) -> ProviderError | None:
        """Why the attempt's scope was cancelled."""
        if part.error or part.relieved:
            return part.error
        what = "nothing more came in time" if part.useful else "nothing useful came in time"
        return CloudError(Trouble.TIMEOUT, f"{part.member.name}: {what}")

    def _heard(self, part: Attempts, work: TranscriptionWork) -> CloudError | None:
        """Handle a final transcript. Too many in a row without words are a fault, if another provider may be asked."""
        breaker, wordless = part.member.breaker, work.wordless
        if not wordless:
            breaker.worked()
            part.tries = 1
        if breaker.circuit is None or wordless < breaker.circuit.open_after:
            return None
        deaf = CloudError(
            Trouble.DEAF, f"{part.member.name}: heard no words in {counted(wordless, 'utterance')} of voice"
        )
        now_us = self.around.now_us()
        # A provider that hears nothing is still better than none.
        if not any(other.breaker.lets(now_us) for other in self.members if other is not part.member):
            self._tell("deaf", str(deaf))
            return None
        # The next provider must not be blamed for utterances that it did not hear.
        work.wordless = 0
        return deaf

    def _preferred(self, member: Member) -> bool:
        """Whether a provider that is preferred to `member` may be asked again. Its circuit decides that."""
        now_us = self.around.now_us()
        before = [other.breaker for other in self.members[: self.members.index(member)]]
        # Without a circuit nothing says when a provider works again, and the call would move after each utterance.
        return any(breaker.circuit is not None and breaker.lets(now_us) for breaker in before)

    def _tell(self, name: str, detail: str) -> None:
        self.around.event(self.around.now_us(), name, f"{self.stage_kind} {detail}")


class _Watch:
    """Passes what was fed on to the deadlines of the provider that is asked now."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.patience: Patience | None = None

    def seen(self, item: Message) -> None:
        if isinstance(self._work, TranscriptionWork):
            self._work.seen(item)
        # While no final transcript is owed, a silent transcriber is right and no deadline runs.
        if self.patience is not None and not (isinstance(self._work, TranscriptionWork) and not self._work.owed):
            self.patience.look()


class _Outlet:
    """Passes items on to the stage. When the stage has closed the channel, the call is about to be cancelled. So the provider
    waits for that, because a closed channel is no failure of the provider.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    async def emit(self, item: Message) -> None:
        try:
            await self._emit(item)
        except trio.BrokenResourceError:
            await trio.sleep_forever()


async def drive(provider: Provider, request: Message, fed: AsyncIterator[Message], take: Emit) -> None:
    """Call `provider`. A voice takes either a whole reply in one call, or one clause a call; a request may be for either."""
    if isinstance(request, Narrate) and not provider.continuous:
        async for item in fed:
            if isinstance(item, Speak):
                await _clause(provider, item, take)
    elif isinstance(request, Speak) and provider.continuous:
        await provider.call(Narrate(), _Once(request), _but_ends(take))
    else:
        await provider.call(request, fed, take)


async def _clause(provider: Provider, speak: Speak, take: Emit) -> None:
    if speak.text.strip():
        await provider.call(speak, Reader(None), take)
    # NarrationWork counts the samples itself.
    await take(ClauseEnded(speak.clause, 0))


def _but_ends(take: Emit) -> Emit:
    async def passed(item: Message) -> None:
        # A Speak is answered with audio alone; the end of its call is the end of the clause.
        if not isinstance(item, ClauseEnded):
            await take(item)

    return passed


class _Once:
    """One item, then the end."""

    def __init__(self, item: Message) -> None:
        self._items = [item]

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> Message:
        if not self._items:
            raise StopAsyncIteration
        return self._items.pop()


def _to_be_shortened(error: ProviderError, work: Work) -> bool:
    """Whether the LLM stage shall ask again with less history, before another provider is asked."""
    too_long = isinstance(error, CloudError) and error.trouble is Trouble.LENGTH
    return too_long and isinstance(work.request, Ask) and not work.request.shortened


def _kind(error: ProviderError) -> str:
    return error.trouble.value if isinstance(error, CloudError) else "error"


def _all(failures: dict[str, str]) -> str:
    return "every provider failed: " + "; ".join(f"{name}: {why}" for name, why in failures.items())
