"""Providers that misbehave, in whole sessions with a clock that jumps: the turn ends with the reason, and the session
continues."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import trio

from flowkit.engine import Engine, Fate, Row
from flowkit.errors import ProviderError
from flowkit.messages import Ask, Audio, Done, Failed, Fault, Final, Message, Speak, Token, Utterance
from flowkit.options import Options
from flowkit.plan.graph import Plan, ProviderChoice, Timeouts
from flowkit.providers.base import Emit, Provider
from flowkit.runtime.calls import LiveCall
from flowkit.stages.turn import Turn
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import bounds_hold, cancelled_calls_are_gone, check, nothing_is_lost
from flowkit.testing.sessions import scripted_plan, trio_session
from tests.providers.support import FakeSession

TWO_TURNS: dict[str, Any] = {
    "mic": {"speech": [{"at": "0ms", "lasts": "200ms"}, {"at": "2s", "lasts": "200ms"}]},
    "vad": {"end": "200ms"},
    "asr": {"utterances": ("One.", "Two.")},
    "llm": {"replies": ({"text": "A short answer."},), "first_item_timeout": "500ms", "idle_timeout": "300ms"},
    "tts": {"per_char": "20ms", "first_item_timeout": "500ms", "idle_timeout": "300ms"},
}


class Bad(Provider):
    """Misbehaves in its first call, and then answers correctly."""

    name = "bad"
    calls: ClassVar[int] = 0

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        type(self).calls += 1
        if self.calls == 1:
            await self.misbehave(request, fed, emit)
        elif isinstance(request, Ask):
            await emit(Token(0, "All is well."))
        elif isinstance(request, Speak):
            await emit(Audio(request.clause, 0, 1_600, 16_000, 1_600, bytes(3_200)))

    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise NotImplementedError


class Raises(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise ProviderError("no answer today", hint="ask again tomorrow")


class Breaks(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise ZeroDivisionError("division by zero")


class BreaksInside(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            raise ProviderError("deep inside")


class Hangs(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await trio.sleep_forever()


class FallsSilent(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await emit(Token(0, "I was") if isinstance(request, Ask) else Audio(0, 0, 160, 16_000, 0, bytes(320)))
        await trio.sleep_forever()


class SaysNothing(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        return


class Malformed(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if isinstance(request, Ask):
            await emit(Token(0, b"bytes"))  # type: ignore[arg-type]
        await emit(Audio(0, 0, 160, 16_000, 0, bytes(319)))


class SpeaksOutOfTurn(Bad):
    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await emit(Final("not mine to say", 1))


class GoesOnWhenCancelled(Bad):
    """Swallows its cancellation for a while, and speaks."""

    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.05)
                try:
                    await emit(Token(0, "still here"))
                except trio.BrokenResourceError:
                    pass


class Floods(Bad):
    """Emits as much as it can."""

    async def misbehave(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        for i in range(3_000):
            if isinstance(request, Ask):
                await emit(Token(i, "word. "))
            else:
                await emit(Audio(0, i * 160, 160, 16_000, 0, bytes(320)))


def with_provider(plan: Plan, kind: str, cls: type[Provider], timeouts: Timeouts | None = None) -> Plan:
    """The plan with another provider of that kind, and the same deadlines."""
    stages = []
    for stage in plan.stages:
        if stage.kind == kind:
            kept = timeouts or (stage.provider.timeouts if stage.provider else Timeouts())
            stage = replace(stage, provider=ProviderChoice(cls.name, cls, Options(), kept))
        stages.append(stage)
    return replace(plan, stages=tuple(stages))


@pytest.fixture(autouse=True)
def first_call_again() -> Iterator[None]:
    yield
    for cls in Bad.__subclasses__():
        cls.calls = 0


def session(kind: str, cls: type[Bad], **changes: Any) -> tuple[Engine, Evidence]:
    plan = with_provider(scripted_plan(**{**TWO_TURNS, **changes}), kind, cls)
    evidence = Evidence(plan)
    return trio_session(plan, evidence), evidence


def of(engine: Engine, kind: type[Message]) -> list[Row]:
    return [row for row in engine.journal if type(row.message) is kind]


@pytest.mark.parametrize("kind", ["llm", "tts"])
@pytest.mark.parametrize(
    ("cls", "what", "after_ms"),
    [
        (Raises, "bad: no answer today (ask again tomorrow)", 0),
        (Breaks, "bad: ZeroDivisionError: division by zero", 0),
        (BreaksInside, "bad: deep inside", 0),
        (Hangs, "the provider gave nothing in time", 500),
        (FallsSilent, "the provider gave nothing in time", 300),
        (SpeaksOutOfTurn, "bad: emitted Final, which a {kind} provider may not emit", 0),
    ],
)
def test_a_failing_provider_costs_its_turn_only(kind: str, cls: type[Bad], what: str, after_ms: int) -> None:
    cls.kind = kind
    engine, evidence = session(kind, cls)
    check(evidence)
    assert engine.finished == "input_ended"
    assert engine.state("gate").turn is Turn.LISTENING
    failed, fault = of(engine, Failed), of(engine, Fault)
    assert [row.message.what for row in failed] == [what.format(kind=kind)]  # type: ignore[attr-defined]
    assert [row.message.stage for row in fault] == [kind]  # type: ignore[attr-defined]
    asked = of(engine, Utterance)[0].handled_us if kind == "llm" else of(engine, Token)[0].handled_us
    assert failed[0].handled_us - asked == pytest.approx(after_ms * 1000, abs=100_000 if kind == "tts" else 0)
    assert len([row for row in of(engine, Utterance) if row.stage == "llm"]) == 2, "the next turn is answered"


@pytest.mark.parametrize("kind", ["llm", "tts"])
def test_a_provider_that_says_nothing_once_costs_no_turn(kind: str) -> None:
    """An LLM is asked once more. A TTS without audio counts as heard, because the printing one has none."""
    SaysNothing.kind = kind
    engine, evidence = session(kind, SaysNothing)
    assert engine.finished == "input_ended"
    assert of(engine, Failed) == []
    assert of(engine, Fault) == []
    bounds_hold(evidence)
    nothing_is_lost(evidence)
    (exchange,) = engine.state("llm").past.history
    assert exchange.agent == ("All is well." if kind == "llm" else "A short answer.")


@pytest.mark.parametrize(("kind", "what"), [("llm", "not a str but bytes"), ("tts", "319 bytes for 160 samples")])
def test_malformed_items_are_refused_at_the_door(kind: str, what: str) -> None:
    Malformed.kind = kind
    engine, _ = session(kind, Malformed)
    assert engine.finished == "input_ended"
    (failed,) = of(engine, Failed)
    assert what in failed.message.what  # type: ignore[attr-defined]
    assert failed.message.kind == "malformed"  # type: ignore[attr-defined]
    assert not any(isinstance(row.message, Audio) and row.message.samples == 160 for row in engine.journal)


@pytest.mark.parametrize("kind", ["llm", "tts"])
def test_a_flood_is_held_back(kind: str) -> None:
    Floods.kind = kind
    engine, evidence = session(kind, Floods)
    check(evidence)
    assert engine.finished == "input_ended"
    assert all(inbox.high_water <= inbox.bound.max for _, inbox in engine.inboxes())
    assert len(evidence.interrupts) == 1
    told = [
        row
        for row in engine.journal
        if row.stage == kind and isinstance(row.message, (Token, Audio)) and not row.cause_stage
    ]
    assert len(told) < 3_000, "the rest of the flood was never taken"


def test_a_provider_that_goes_on_when_cancelled_is_not_listened_to() -> None:
    GoesOnWhenCancelled.kind = "llm"
    engine, evidence = session("llm", GoesOnWhenCancelled)
    assert engine.finished == "input_ended"
    assert not any(
        getattr(row.message, "text", "") == "still here" for row in engine.journal if row.fate is Fate.HANDLED
    )
    with pytest.raises(AssertionError, match="llm call"):
        cancelled_calls_are_gone(evidence)


def test_a_clause_that_the_voice_did_not_finish_is_not_remembered() -> None:
    Raises.kind = "tts"
    engine, _ = session("tts", Raises)
    assert engine.state("llm").past.history == ()


def test_without_an_asr_the_session_fails_in_order() -> None:
    class Gone(Provider):
        kind, name = "asr", "gone"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            raise ProviderError("the socket is closed")

    plan = with_provider(scripted_plan(**TWO_TURNS), "asr", Gone)
    assert trio_session(plan).finished == "failed: gone: the socket is closed"


@pytest.mark.parametrize("kind", ["mic", "vad", "speaker"])
def test_a_session_whose_ears_or_mouth_fail_ends_and_says_so(kind: str) -> None:
    class Gone(Provider):
        name = "gone"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            await trio.sleep(0.1)
            raise ProviderError("it was unplugged")

    Gone.kind = kind
    plan = with_provider(scripted_plan(**TWO_TURNS), kind, Gone)
    engine = trio_session(plan, limit_us=30_000_000)
    assert engine.finished == "failed: gone: it was unplugged"
    assert engine.now_us == 100_000


@pytest.mark.parametrize("kind", ["mic", "vad", "asr", "speaker"])
def test_one_that_just_stops_is_no_better(kind: str) -> None:
    class Gone(Provider):
        name = "gone"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            return

    Gone.kind = kind
    plan = with_provider(scripted_plan(**TWO_TURNS), kind, Gone)
    assert "stopped before the session ended" in (trio_session(plan, limit_us=30_000_000).finished or "")


def test_an_emit_that_is_cancelled_has_sent_nothing() -> None:
    taken: list[Message] = []

    class Hasty(Provider):
        name = "hasty"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            with trio.CancelScope() as scope:
                scope.cancel()
                await emit(Token(0, "lost"))
            assert scope.cancelled_caught
            await emit(Token(1, "sent"))

    def take() -> None:
        if (offered := call.offered(0)) is not None:
            taken.append(offered[0])

    async def run() -> None:
        nonlocal call
        call = LiveCall(0, 1, 4, 1, lambda: 0, take)
        await call.run(Hasty(Hasty.Options(), FakeSession().around()), Ask(1, "?"))

    call: LiveCall
    trio.run(run)
    assert taken == [Token(1, "sent"), Done()]
