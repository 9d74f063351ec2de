"""Every stage that has a provider, with one that fails or stops: what follows is declared, and the same on both pumps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from flowkit.engine import Engine, Fate
from flowkit.messages import (
    ClauseEnded,
    Done,
    Failed,
    Fault,
    Heard,
    InputEnded,
    Message,
    Narrate,
    Speak,
    ToolOutcome,
    Typed,
    Utterance,
)
from flowkit.plan.graph import Bound, Plan, PlannedStage, ProviderChoice
from flowkit.providers.base import Surroundings
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.providers.registry import available
from flowkit.providers.scripted import (
    ScriptedAsr,
    ScriptedLlm,
    ScriptedSource,
    ScriptedTools,
    ScriptedTts,
    ScriptedVad,
)
from flowkit.stages.gate import Gate
from flowkit.stages.narration import Narration
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import ends_come_last, nothing_is_lost, order_is_kept, session_ends
from flowkit.testing.sessions import heap_session, planned_of, scripted_plan, trio_session

SETTINGS: dict[str, Any] = {
    "mic": {"speech": [{"at": "100ms", "lasts": "300ms"}, {"at": "2500ms", "lasts": "300ms"}]},
    "vad": {"end": "100ms"},
    "asr": {"utterances": ["One?", "Two?"], "final_after": "20ms"},
    "llm": {"replies": [{"text": "A first one. And more."}], "first_token": "40ms"},
    "tts": {"per_char": "20ms", "first_audio": "20ms"},
}


class Keyboard(InlineProvider):
    """Two lines, then the end."""

    kind, name = "gate", "keyboard"

    def open(self, request: Message) -> InlineCall:
        items = [(100_000, Typed("One?")), (2_500_000, Typed("Two?")), (2_600_000, InputEnded(0)), (2_600_000, Done())]
        return InlineCall(opened=lambda: items)


class Sink(InlineProvider):
    """A speaker that is never done."""

    kind, name = "speaker", "sink"

    def open(self, request: Message) -> InlineCall:
        return InlineCall()


class Narrator(ScriptedTts):
    """The scripted voice, for a whole reply."""

    continuous = True

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Narrate)

        def fed(item: Message) -> Iterator[tuple[int, Message]]:
            assert isinstance(item, Speak)
            samples = 0
            for delay_us, answer in super(Narrator, self).open(item).opened():
                if not isinstance(answer, Done):
                    samples += getattr(answer, "samples", 0)
                    yield delay_us, answer
            yield 200_000, ClauseEnded(item.clause, samples)

        return InlineCall(fed=fed, ended=lambda: ((200_000, Done()),))


FAILED = Failed("error", "it broke")
WHO = {"mic": "microphone", "vad": "voice detector", "asr": "transcriber", "gate": "keyboard", "speaker": "speaker"}
WHOLE: dict[str, type[InlineProvider]] = {
    "mic": ScriptedSource,
    "vad": ScriptedVad,
    "asr": ScriptedAsr,
    "gate": Keyboard,
    "llm": ScriptedLlm,
    "tts": ScriptedTts,
    "tts, continuous": Narrator,
    "speaker": Sink,
    "tools": ScriptedTools,
}


def broken(stage: str, last: Message, after: int, calls: int) -> type[InlineProvider]:
    """The stage's provider, whose first `calls` calls end with `last` after so many items."""
    whole = WHOLE[stage]

    class Broken(whole):  # type: ignore[misc, valid-type]
        def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
            super().__init__(options, around, model)
            self.opened = 0

        def open(self, request: Message) -> InlineCall:
            self.opened += 1
            call = super().open(request)
            return call if self.opened > calls else _cut(call, last, after)

    return Broken


def _cut(call: InlineCall, last: Message, after: int) -> InlineCall:
    left = after

    def cut(answer: Callable[..., Iterable[tuple[int, Message]]]) -> Callable[..., Iterator[tuple[int, Message]]]:
        def answers(*event: Message) -> Iterator[tuple[int, Message]]:
            nonlocal left
            for at_us, item in answer(*event):
                if not left:
                    yield Answer(at_us, last)
                    return
                left -= 1
                yield at_us, item

        return answers

    return InlineCall(cut(call.opened), cut(call.fed)) if after else InlineCall(lambda: (Answer(10_000, last),))


def plan_of(stage: str, last: Message, after: int, calls: int = 1) -> Plan:
    kind, cls = stage.partition(",")[0], broken(stage, last, after, calls)
    replying = {"llm": SETTINGS["llm"], "tts": SETTINGS["tts"]}
    typed = kind == "gate"
    plan = scripted_plan(without=("mic", "vad", "asr"), **replying) if typed else scripted_plan(**SETTINGS)
    stages = tuple(_changed(one, cls) if one.kind == kind else one for one in plan.stages)
    return planned_of(stages, {one.id: Bound(one.window) for one in stages}, plan.frame_us)


def _changed(stage: PlannedStage, cls: type[InlineProvider]) -> PlannedStage:
    options = stage.provider.options if stage.provider else cls.Options()
    choice = ProviderChoice(cls.name, cls, options)
    if stage.kind == "gate":
        return replace(stage, options=Gate.Options.model_validate({"typing": "interrupts"}), provider=choice)
    return replace(stage, provider=choice, cls=Narration if cls.continuous else stage.cls)


@pytest.mark.parametrize("last", [FAILED, Done()], ids=["fails", "stops"])
@pytest.mark.parametrize(
    ("stage", "after"), [(stage, after) for stage in WHO for after in ((0,) if stage == "speaker" else (0, 1, 3))]
)
def test_without_ears_mouth_or_keyboard_the_session_ends_and_says_why(stage: str, last: Message, after: int) -> None:
    plan = plan_of(stage, last, after)
    engine = heap_session(plan, limit_us=20_000_000)
    why = "it broke" if last is FAILED else f"the {WHO[stage]} stopped before the session ended"
    in_order = stage == "gate" and isinstance(last, Done) and after == 3  # behind the end of the input
    assert engine.finished == ("input_ended" if in_order else f"failed: {why}")
    assert trio_session(plan, limit_us=20_000_000).journal.rows == engine.journal.rows


class Turns(NamedTuple):
    """What came of the two turns: what was heard of each, whose fault there was, how often the model was asked."""

    heard: tuple[str, str]
    faults: tuple[str, ...] = ()
    asked: int = 2


def turns_of(engine: Engine) -> Turns:
    rows = [row for row in engine.journal if row.fate is Fate.HANDLED]
    heard = {row.turn: "" for row in rows if row.stage == "llm" and isinstance(row.message, Utterance)}
    for row in rows:
        if row.stage == "gate" and isinstance(row.message, Heard):
            heard[row.turn] += row.message.text
    faults = tuple(row.message.stage for row in rows if isinstance(row.message, Fault))
    asked = sum(isinstance(row.message, (Done, Failed)) for row in rows if row.stage == "llm")
    first, second = heard.values()
    return Turns((first, second), faults, asked)


ALL = "A first one. And more."
CONSEQUENCES: dict[tuple[str, str, int, int], Turns] = {
    # A model that fails costs its turn, but for what it said. One that says nothing is asked once more. One that stops has said it.
    ("llm", "fails", 0, 1): Turns(("", ALL), ("llm",)),
    ("llm", "fails", 3, 1): Turns(("A first one.", ALL), ("llm",)),
    ("llm", "stops", 0, 1): Turns((ALL, ALL), asked=3),
    ("llm", "stops", 0, 2): Turns(("", ALL), ("llm",), asked=3),
    ("llm", "stops", 3, 1): Turns(("A first one.", ALL)),
    # A voice that fails costs its clause, but for what sounded. One that makes no sound has said it, as one that prints.
    ("tts", "fails", 0, 1): Turns((" And more.", ALL), ("tts",)),
    ("tts", "fails", 1, 1): Turns(("A And more.", ALL), ("tts",)),
    ("tts", "stops", 0, 1): Turns((ALL, ALL)),
    ("tts", "stops", 1, 1): Turns((ALL, ALL)),
    # One that speaks whole replies owes each clause's end; what was fed to it and is left out is not heard.
    ("tts, continuous", "fails", 0, 1): Turns((" And more.", ALL), ("tts",)),
    ("tts, continuous", "fails", 1, 1): Turns(("A", ALL), ("tts",)),
    ("tts, continuous", "stops", 0, 1): Turns((" And more.", ALL), ("tts",)),
    ("tts, continuous", "stops", 1, 1): Turns(("A", ALL), ("tts",)),
}


@pytest.mark.parametrize(("stage", "how", "after", "calls"), CONSEQUENCES)
def test_a_failing_reply_costs_what_is_declared_and_the_next_turn_nothing(
    stage: str, how: str, after: int, calls: int
) -> None:
    plan = plan_of(stage, FAILED if how == "fails" else Done(), after, calls)
    evidence = Evidence(plan)
    engine = heap_session(plan, evidence, limit_us=20_000_000)
    for promise in (session_ends, nothing_is_lost, order_is_kept, ends_come_last):
        promise(evidence)
    assert engine.finished == "input_ended"
    assert turns_of(engine) == CONSEQUENCES[stage, how, after, calls]
    assert trio_session(plan, limit_us=20_000_000).journal.rows == engine.journal.rows


@pytest.mark.parametrize(("last", "why"), [(FAILED, "it broke"), (Done(), "the tools have stopped")])
def test_tools_that_fail_are_an_outcome_for_the_model_and_run_again_at_the_next_call(last: Message, why: str) -> None:
    calls = {"replies": [{"text": "Let me see.", "calls": [{"name": "look"}]}], "first_token": "40ms"}
    plan = scripted_plan(**{**SETTINGS, "llm": calls}, tools={"tools": [{"call": "a:look"}]})
    cls = broken("tools", last, 0, 1)
    stages = tuple(_changed(one, cls) if one.kind == "tools" else one for one in plan.stages)
    plan = planned_of(stages, {one.id: Bound(one.window) for one in stages}, plan.frame_us)
    engine = heap_session(plan, limit_us=20_000_000)
    outcomes = [row.message for row in engine.journal if row.stage == "llm" and isinstance(row.message, ToolOutcome)]
    assert [(outcome.status, outcome.content) for outcome in outcomes] == [
        ("error", f"It failed: {why}."),
        ("result", "ok"),
    ]
    assert engine.finished == "input_ended"
    assert trio_session(plan, limit_us=20_000_000).journal.rows == engine.journal.rows


def test_no_stage_with_a_provider_is_left_out() -> None:
    # Without a predictor the silence decides: tests/engine/test_turn_ends.py.
    assert {row.kind for row in available()} - {"turn"} == {stage.partition(",")[0] for stage in WHOLE}
