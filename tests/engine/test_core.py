"""The engine's rules on toy stages: lanes, settle order, bounds and policies, credits, timers, deadlines, staleness."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from flowkit.config.schema import WhenFull
from flowkit.engine import CallCancelled, CallFed, CallOpened, Effect, Engine, Fate, Finished, Row, Stimulus
from flowkit.messages import (
    Ask,
    Capture,
    Credit,
    Done,
    EndOfReply,
    Failed,
    Heard,
    Interrupt,
    Message,
    ReplyPlayed,
    Timer,
    Token,
    Utterance,
)
from flowkit.options import Options
from flowkit.plan.graph import CONTROL_BOUND, Bound, Plan, PlannedStage, ProviderChoice, Timeouts
from flowkit.providers.scripted import ScriptedLlm
from flowkit.stages.base import PROVIDER, Actions, Emit, Feed, Open, RaiseEpoch, SetTimer, Stage
from flowkit.testing.sessions import planned_of

THREE = Bound(3)


@dataclass
class ToyState:
    """Messages `seen`, in order; `open`: whether it takes data now."""

    seen: list[Message] = field(default_factory=list)
    open: bool = True


class Spout(Stage[ToyState]):
    """Passes on the items of its provider, an Utterance three times."""

    kind = "spout"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {}
    outputs: ClassVar[dict[str, str]] = {"out": "stuff", "control": "progress"}

    class Options(Options):
        pass

    def fresh(self) -> ToyState:
        return ToyState()

    def begin(self, state: ToyState) -> Actions:
        return (Open(Capture()),)

    def step(self, state: ToyState, message: Message, now_us: int) -> Actions:
        state.seen.append(message)
        if isinstance(message, Utterance):
            return [Emit("out", Token(i, message.text)) for i in range(3)]
        return (Emit("control" if message.lane == "C" else "out", message),)


class Basin(Stage[ToyState]):
    """Takes what comes while it is open."""

    kind = "basin"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"in": ("stuff",), "control": ("progress",)}
    outputs: ClassVar[dict[str, str]] = {}

    class Options(Options):
        pass

    def fresh(self) -> ToyState:
        return ToyState()

    def accepts(self, state: ToyState) -> frozenset[str]:
        return self.everything if state.open else frozenset()

    def step(self, state: ToyState, message: Message, now_us: int) -> Actions:
        state.seen.append(message)
        return ()


class Drain(Basin):
    """Feeds all it accepts_item to a session call."""

    def begin(self, state: ToyState) -> Actions:
        return (Open(Capture()),)

    def step(self, state: ToyState, message: Message, now_us: int) -> Actions:
        state.seen.append(message)
        return (Feed(message),) if isinstance(message, Token) else ()


class Asker(Stage[ToyState]):
    """Replies: an Utterance opens a call, whose items it keeps. A Heard raises the epoch and interrupts."""

    kind = "asker"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"in": ("stuff",), "control": ("progress",)}
    outputs: ClassVar[dict[str, str]] = {}
    replying = True
    call_scope = "turn"

    class Options(Options):
        pass

    def fresh(self) -> ToyState:
        return ToyState()

    def accepts(self, state: ToyState) -> frozenset[str]:
        return self.everything if state.open else frozenset({"in"})

    def step(self, state: ToyState, message: Message, now_us: int) -> Actions:
        state.seen.append(message)
        if isinstance(message, Token):
            return (Open(Ask(1, "?")), SetTimer(now_us + 1_000, "soon"))
        return ()


class Chief(Spout):
    """A small gate: a Heard interrupts."""

    outputs: ClassVar[dict[str, str]] = {"out": "stuff", "control": "progress"}

    def step(self, state: ToyState, message: Message, now_us: int) -> Actions:
        state.seen.append(message)
        if isinstance(message, Heard):
            return (RaiseEpoch(1), Emit("control", Interrupt()))
        return (Emit("control" if message.lane == "C" else "out", message),)


def engine_of(
    *classes: type[Stage[Any]], bound: Bound = THREE, window: int = 3, timeouts: Timeouts | None = None
) -> Engine:
    choice = ProviderChoice("scripted", ScriptedLlm, ScriptedLlm.Options(), timeouts or Timeouts())
    quiet = ProviderChoice("scripted", ScriptedLlm, ScriptedLlm.Options(), Timeouts())
    chosen = [quiet] * (len(classes) - 1) + [choice]
    stages = tuple(
        PlannedStage(c.kind, c.kind, c, c.Options(), provider, window=window)
        for c, provider in zip(classes, chosen, strict=True)
    )
    plan: Plan = planned_of(stages, {c.kind: bound for c in classes})
    engine = Engine(plan)
    engine.begin(0)
    return engine


def say(engine: Engine, *items: Message, at_us: int = 0, stage: int = 0, call: int = 1) -> list[Effect]:
    return engine.advance(at_us, [Stimulus(stage, call, item, at_us) for item in items])


def rows(engine: Engine, stage: str) -> list[Row]:
    return [row for row in engine.journal if row.stage == stage]


def tokens(*numbers: int) -> list[Token]:
    return [Token(n, "") for n in numbers]


def kinds(found: Iterable[Row]) -> list[tuple[str, str]]:
    return [(row.kind, row.fate.value) for row in found]


# -- order -------------------------------------------------------------------------------------------------------------


def test_control_overtakes_data_and_data_keeps_its_order() -> None:
    engine = engine_of(Spout, Basin)
    engine.state("basin").open = False
    say(engine, *tokens(0, 1), ReplyPlayed())
    assert engine.state("basin").seen == [ReplyPlayed()]
    engine.state("basin").open = True
    say(engine, EndOfReply())
    assert engine.state("basin").seen == [ReplyPlayed(), *tokens(0, 1), EndOfReply()]


def test_a_row_says_when_it_was_sent_by_whom_and_when_it_was_taken() -> None:
    engine = engine_of(Spout, Basin)
    engine.state("basin").open = False
    say(engine, *tokens(0), at_us=10)
    engine.state("basin").open = True
    say(engine, *tokens(1), at_us=30)
    first = rows(engine, "basin")[0]
    assert (first.cause_stage, first.cause_n, first.sent_us, first.handled_us, first.lane) == ("spout", 2, 10, 30, "D")
    assert [row.n for row in rows(engine, "basin")] == [1, 2]


def test_time_never_runs_back() -> None:
    engine = engine_of(Spout, Basin)
    say(engine, *tokens(0), at_us=50)
    say(engine, *tokens(1), at_us=20)
    assert [row.handled_us for row in rows(engine, "spout") if row.lane == "D"] == [50, 50]


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_a_full_queue_holds_its_sender_and_the_sender_s_provider() -> None:
    engine = engine_of(Spout, Basin, bound=Bound(2))
    engine.state("basin").open = False
    say(engine, *tokens(0, 1))
    assert engine.accepts_item(0)
    say(engine, *tokens(2))
    assert not engine.accepts_item(0), "token 2 waits in the outbox"
    engine.state("basin").open = True
    say(engine, ReplyPlayed())
    assert engine.accepts_item(0)
    assert [m for m in engine.state("basin").seen if isinstance(m, Token)] == tokens(0, 1, 2)


def test_what_one_step_sends_beyond_the_bound_waits_in_the_outbox() -> None:
    engine = engine_of(Spout, Basin, bound=Bound(1))
    engine.state("basin").open = False
    say(engine, Utterance(1, "x", ""))
    ((_, inbox),) = engine.inboxes()
    assert (len(inbox.queue), inbox.high_water) == (1, 1)
    assert len(engine._slots[0].outbox) == 2
    engine.state("basin").open = True
    say(engine, ReplyPlayed(), at_us=40)
    assert len(engine.state("basin").seen) == 4
    assert inbox.blocked_us == 40


@pytest.mark.parametrize(
    ("when_full", "kept", "dropped"), [(WhenFull.DROP_OLDEST, [1, 2], [0]), (WhenFull.DROP_NEWEST, [0, 1], [2])]
)
def test_a_dropped_message_has_a_row_too(when_full: WhenFull, kept: list[int], dropped: list[int]) -> None:
    engine = engine_of(Spout, Basin, bound=Bound(2, when_full))
    engine.state("basin").open = False
    say(engine, *tokens(0, 1, 2), EndOfReply())
    assert not engine.accepts_item(0) or when_full is WhenFull.DROP_OLDEST
    lost = [row.message for row in rows(engine, "basin") if row.fate is Fate.DROPPED]
    assert lost[: len(dropped)] == tokens(*dropped)
    assert all(isinstance(message, Token) for message in lost)


def test_overflow_is_an_error_where_it_is_said_to_be() -> None:
    engine = engine_of(Spout, Basin, bound=Bound(1, WhenFull.ERROR))
    engine.state("basin").open = False
    effects = say(engine, *tokens(0, 1))
    assert Finished(engine.finished or "") in effects
    assert "queue before stage 'basin' is full (1)" in (engine.finished or "")


def test_too_much_control_ends_the_session() -> None:
    """More messages than any stage can handle, all sent within one step."""

    class Storm(Spout):
        def step(self, state: ToyState, message: Message, now_us: int) -> Actions:
            return [Emit("control", ReplyPlayed())] * (CONTROL_BOUND + 1)

    engine = engine_of(Storm, Basin)
    say(engine, *tokens(0))
    assert engine.finished == f"failed: more than {CONTROL_BOUND} control messages wait at stage 'basin'"


def test_a_bound_reaches_across_the_channel_and_credits_free_it() -> None:
    engine = engine_of(Spout, Drain, bound=Bound(2), window=2)
    effects = say(engine, *tokens(0, 1))
    assert sum(isinstance(effect, CallFed) for effect in effects) == 2
    say(engine, *tokens(2))
    ((_, inbox),) = engine.inboxes()
    assert len(inbox.queue) == 0, "two that were fed and not yet taken fill the bound"
    assert not engine.accepts_item(0)
    effects = say(engine, Credit(2), stage=1, call=2)
    assert [e.item for e in effects if isinstance(e, CallFed)] == tokens(2)
    assert engine.accepts_item(0)


# -- timers ------------------------------------------------------------------------------------------------------------


def test_a_deadline_goes_before_the_stimuli_of_its_instant() -> None:
    engine = engine_of(Spout, Asker)
    say(engine, *tokens(0))
    assert engine.next_deadline() == 1_000
    say(engine, EndOfReply(), at_us=1_000)
    assert [type(m) for m in engine.state("asker").seen] == [Token, Timer, EndOfReply]
    timer = next(row for row in rows(engine, "asker") if row.kind == "Timer")
    assert (timer.sent_us, timer.handled_us, timer.lane, timer.cause_stage) == (1_000, 1_000, "C", "")


def test_a_late_timer_says_when_it_was_due() -> None:
    engine = engine_of(Spout, Asker)
    say(engine, *tokens(0))
    engine.advance(7_000)
    timer = next(row for row in rows(engine, "asker") if row.kind == "Timer")
    assert (timer.sent_us, timer.handled_us) == (1_000, 7_000)


# -- calls -------------------------------------------------------------------------------------------------------------


def failures(engine: Engine) -> list[tuple[int, Failed]]:
    return [(row.handled_us, row.message) for row in engine.journal if isinstance(row.message, Failed)]


def asking(timeouts: Timeouts) -> tuple[Engine, int]:
    engine = engine_of(Spout, Asker, timeouts=timeouts)
    opened = [e for e in say(engine, *tokens(0)) if isinstance(e, CallOpened)]
    return engine, opened[0].call


def run_to(engine: Engine, until_us: int) -> list[Effect]:
    effects: list[Effect] = []
    while (at_us := engine.next_deadline()) is not None and at_us <= until_us:
        effects += engine.advance(at_us)
    return effects


def test_a_provider_that_gives_nothing_is_given_up() -> None:
    engine, call = asking(Timeouts(first_item_us=5_000))
    effects = run_to(engine, 100_000)
    assert [at_us for at_us, _ in failures(engine)] == [5_000]
    assert failures(engine)[0][1].kind == "timeout"
    assert CallCancelled(1, call) in effects


def test_a_provider_that_falls_silent_is_given_up() -> None:
    engine, call = asking(Timeouts(first_item_us=5_000, idle_us=2_000))
    run_to(engine, 4_000)
    say(engine, EndOfReply(), at_us=4_000, stage=1, call=call)
    run_to(engine, 100_000)
    assert [at_us for at_us, _ in failures(engine)] == [6_000]


def test_a_provider_that_is_held_back_is_not_to_blame() -> None:
    engine, call = asking(Timeouts(idle_us=2_000))
    say(engine, EndOfReply(), at_us=1_000, stage=1, call=call)
    engine.state("asker").open = False
    run_to(engine, 50_000)
    assert failures(engine) == []
    engine.state("asker").open = True
    run_to(engine, 100_000)
    assert len(failures(engine)) == 1


def test_a_call_that_is_done_has_no_deadline() -> None:
    engine, call = asking(Timeouts(first_item_us=5_000))
    say(engine, Done(), at_us=2_000, stage=1, call=call)
    run_to(engine, 100_000)
    assert failures(engine) == []


def test_what_a_call_says_after_its_end_is_stale_and_counted() -> None:
    engine, call = asking(Timeouts())
    say(engine, Done(), stage=1, call=call)
    say(engine, Token(9, "late"), stage=1, call=call)
    assert kinds(rows(engine, "asker"))[-1] == ("Token", "stale")
    assert Token(9, "late") not in engine.state("asker").seen


# -- interrupts --------------------------------------------------------------------------------------------------------


def test_an_interrupt_stops_drains_and_resets() -> None:
    engine = engine_of(Chief, Asker)
    opened = [e for e in say(engine, *tokens(0)) if isinstance(e, CallOpened)]
    effects = say(engine, Heard(0, "", 0, 0), at_us=500)
    assert CallCancelled(1, opened[0].call) in effects
    assert engine.state("asker") == ToyState()
    assert engine.next_deadline() is None, "its timers are gone with it"
    assert engine.epoch == 1
    say(engine, Token(5, "late"), stage=1, call=opened[0].call, at_us=600)
    assert kinds(rows(engine, "asker"))[-1] == ("Token", "stale")


def test_what_waits_at_an_interrupt_is_discarded_in_rows() -> None:
    class Shut(Asker):
        def accepts(self, state: ToyState) -> frozenset[str]:
            return frozenset({PROVIDER})

    engine = engine_of(Chief, Shut, bound=Bound(2))
    say(engine, *tokens(0, 1))
    assert engine.waiting() == 2
    say(engine, Heard(0, "", 0, 0), at_us=500)
    assert engine.waiting() == 0
    assert kinds(rows(engine, "asker")) == [("Interrupt", ""), ("Token", "discarded"), ("Token", "discarded")]
    assert {row.handled_us for row in rows(engine, "asker")} == {500}
