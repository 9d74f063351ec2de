"""The public state machine and strategies: they pass on flowkit itself, and find planted bugs in a user's own parts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from hypothesis.stateful import run_state_machine_as_test

from flowkit.errors import ProviderError, UsageError
from flowkit.figures.report import Report
from flowkit.messages import Audio, Clause, Interrupt, Message, Speak, Token, Utterance, WordTimes
from flowkit.options import Options
from flowkit.providers.base import Emit, Provider
from flowkit.replay.simulate import simulate
from flowkit.stages.base import Actions, Stage
from flowkit.stages.base import Emit as EmitAction
from flowkit.stages.chunking import Chunking
from flowkit.stages.playback import Playback
from flowkit.testing.invariants import Broken
from flowkit.testing.session_machine import Subject, check_session, pipeline_of, save_trace, session_machine
from flowkit.testing.sessions import plan_from_yaml
from flowkit.testing.strategies import (
    Conversation,
    cancellation_instants,
    interrupted,
    joined,
    provider_failures,
    provider_timings,
)
from flowkit.trace.reader import read_trace

FEW = settings(
    max_examples=10,
    stateful_step_count=5,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
ONE = Conversation(
    mic={"speech": [{"at": "0ms", "lasts": "160ms"}]},
    vad={"end": "100ms", "start": "40ms"},
    asr={"utterances": ("One.",)},
    llm={"first_token": "40ms", "replies": ({"text": "Well, that depends. On what? On the weather, mostly."},)},
    tts={"first_audio": "40ms", "per_char": "15ms"},
)


class Losing(Chunking):
    """A chunker that loses the second clause of a reply."""

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        actions = super().step(state, message, now_us)
        return [
            a
            for a in actions
            if not (isinstance(a, EmitAction) and isinstance(a.message, Clause) and a.message.index == 1)
        ]


class Talker(Provider):
    """An LLM of an author."""

    kind, name = "llm", "talker"

    class Options(Options):
        pass

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        for index, word in enumerate(("Yes, ", "I ", "think ", "so.")):
            await emit(Token(index, word))


def test_flowkit_itself_passes() -> None:
    run_state_machine_as_test(session_machine(), settings=FEW)


class Thinker(Provider):
    """An LLM that loads a model and waits, so each call has a task."""

    kind, name = "llm", "thinker"

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[tuple[str, ...]]:
        yield ("You ", "said ", "so. ", "I ", "heard ", "it.")

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await trio.sleep(0.05)
        for index, word in enumerate(self.model):
            await emit(Token(index, word))
            await trio.sleep(0.01)


def test_with_a_provider_of_ones_own_it_ends_within_a_minute() -> None:
    """As documented, with Hypothesis' own settings.

    The bound is on processor time, which does not depend on other processes.
    """
    began_s = time.process_time()
    run_state_machine_as_test(session_machine(providers={"llm": Thinker}))
    assert time.process_time() - began_s < 60


def test_a_clause_that_is_lost_is_found_shrunk_and_saved(tmp_path: Path) -> None:
    saved = tmp_path / "failing.jsonl"
    long = settings(FEW, stateful_step_count=30)
    with pytest.raises(Broken) as found:
        run_state_machine_as_test(session_machine(save=saved, stages={"chunker": Losing}), settings=long)
    steps = [line for note in found.value.__notes__ for line in note.splitlines() if line.startswith("state.")]
    assert 2 <= len([step for step in steps if "teardown" not in step]) <= 6, "steps of the shrunk counterexample"
    [conversation] = [note for note in found.value.__notes__ if note.startswith("the conversation: ")]
    assert conversation.count("'at'") == 1
    trace = read_trace(saved)
    assert any(isinstance(row.message, Token) for row in trace.rows())


def test_a_pipeline_file_is_tested_with_scripted_providers(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        Path("pipelines/scripted.yaml").read_text("utf-8").replace("{kind: chunker}", "{kind: chunker, max_tokens: 5}")
    )
    engine = check_session(ONE, pipeline=path)
    clauses = [row.message for row in engine.journal if row.stage == "tts" and isinstance(row.message, Clause)]
    assert len(clauses) > 2
    assert all(clause.tokens <= 5 for clause in clauses)


TURNS = """
flowkit: 1
stages:
  - {kind: mic}
  - {kind: vad, provider: silero, end: {complete: 100ms, unsure: 200ms, incomplete: 300ms}}
  - {kind: asr, provider: moonshine}
  - {kind: turn, provider: PREDICTOR}
  - {kind: gate}
  - {kind: llm, provider: llamacpp}
  - {kind: chunker}
  - {kind: tts, provider: piper}
  - {kind: speaker}
"""


@pytest.mark.parametrize(
    ("text", "kind", "provider"),
    [
        (Path("pipelines/restaurant.yaml").read_text(), "tools", "scripted"),
        (TURNS.replace("PREDICTOR", "smart_turn"), "turn", "scripted"),
        (TURNS.replace("PREDICTOR", "words"), "turn", "words"),
    ],
)
def test_no_tool_and_no_model_of_a_pipeline_file_is_used(tmp_path: Path, text: str, kind: str, provider: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    plan = Subject(tmp_path / "own.yaml").plan(ONE)
    stage = plan.only(kind)
    assert stage is not None
    assert stage.provider is not None
    assert stage.provider.name == provider
    assert check_session(ONE, pipeline=tmp_path / "own.yaml").finished


def test_a_provider_of_ones_own_runs_in_virtual_time() -> None:
    engine = check_session(ONE, providers={"llm": Talker})
    assert [row.message.text for row in engine.journal if row.stage == "tts" and isinstance(row.message, Clause)]


@FEW
@given(timings=provider_timings(), failures=provider_failures(), at=cancellation_instants())
def test_any_timing_failure_and_cancellation_keeps_every_promise(
    timings: Conversation, failures: Conversation, at: str
) -> None:
    check_session(interrupted(joined(ONE, timings, failures), at))


def test_a_conversation_can_be_saved_again(tmp_path: Path) -> None:
    path = save_trace(ONE, tmp_path / "a.jsonl")
    assert save_trace(ONE, path) == path
    trace = read_trace(path)
    assert trace.end is not None
    assert trace.end.reason == "input_ended"
    # It replays: the same turns, cut into the same clauses.
    assert [clause.reason for turn in simulate(trace).report.turns for clause in turn.clauses] == [
        "sentence",
        "sentence",
        "end",
    ]


class Hasty(Provider):
    """A TTS whose last word takes most of the time, as its word times say. Without them, less would seem to be heard."""

    kind, name = "tts", "hasty"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        words = request.text.split()
        total = 16_000
        ends = [800 * (n + 1) for n in range(len(words) - 1)]
        await emit(WordTimes(request.clause, tuple(zip(words, [*ends, total], strict=True))))
        for first in range(0, total, 1_600):
            await trio.sleep(0.005)
            await emit(Audio(request.clause, first, 1_600, 16_000, total, bytes(3_200)))


CUT_OFF = joined(
    ONE,
    {
        "mic": {"speech": [{"at": "0ms", "lasts": "160ms"}, {"at": "900ms", "lasts": "300ms"}]},
        "asr": {"utterances": ("One.", "Two.")},
        "llm": {"replies": ({"text": "and then some more"}, {"text": "Fine."})},
    },
)


class WithoutTimes(Playback):
    """A playback stage that forgets the word times."""

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        return () if isinstance(message, WordTimes) else super().step(state, message, now_us)


def test_what_was_heard_is_judged_by_word_times() -> None:
    engine = check_session(CUT_OFF, providers={"tts": Hasty})
    asked = [row.message for row in engine.journal if row.stage == "llm" and isinstance(row.message, Utterance)]
    assert [utterance.heard for utterance in asked] == ["", "and then some"]
    with pytest.raises(Broken, match="'and then some' was heard in epoch 1, the history has 'and then'"):
        check_session(CUT_OFF, providers={"tts": Hasty}, stages={"speaker": WithoutTimes})


class Shout(Stage[None]):
    """A stage of an author, between chunker and TTS: it makes every clause upper-case."""

    kind = "shout"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses"}
    replying = True

    class Options(Options):
        pass

    def fresh(self) -> None:
        return None

    def step(self, state: None, message: Message, now_us: int) -> Actions:
        if isinstance(message, Clause):
            message = replace(message, text=message.text.upper())
        return () if isinstance(message, Interrupt) else [EmitAction("clauses", message)]


def with_shout(folder: Path) -> Path:
    path = folder / "mine.yaml"
    text = Path("pipelines/scripted.yaml").read_text("utf-8")
    path.write_text(text.replace("  - {kind: chunker}\n", "  - {kind: chunker}\n  - {kind: shout}\n"), "utf-8")
    return path


def test_a_stage_of_ones_own_is_tested_in_the_pipeline_that_has_it(tmp_path: Path) -> None:
    path = with_shout(tmp_path)
    engine = check_session(ONE, pipeline=path, stages={"shout": Shout})
    spoken = [row.message.text for row in engine.journal if row.stage == "tts" and isinstance(row.message, Clause)]
    assert spoken == ["WELL, THAT DEPENDS.", " ON WHAT?", " ON THE WEATHER, MOSTLY."]
    run_state_machine_as_test(session_machine(pipeline=path, stages={"shout": Shout}), settings=FEW)


@pytest.mark.parametrize(
    "subject", [{"stages": {"shout": Shout}}, {"stages": {"chunkr": Losing}}, {"providers": {"gat": Talker}}]
)
def test_what_the_pipeline_does_not_have_cannot_be_tested(subject: Any) -> None:
    with pytest.raises(UsageError, match="is not tested: there is no stage of that kind"):
        check_session(ONE, **subject)
    with pytest.raises(UsageError, match="is not tested: there is no stage of that kind"):
        run_state_machine_as_test(session_machine(**subject), settings=FEW)


def test_a_stage_that_a_conversation_does_not_reach_is_not_tested() -> None:
    with pytest.raises(UsageError, match="stage 'chunker' is not tested: the conversation does not reach it"):
        check_session(joined(ONE, {"mic": {"speech": []}}), stages={"chunker": Chunking})
    with pytest.raises(UsageError, match="stage 'llm' is not tested"):
        check_session(joined(ONE, {"mic": {"speech": []}}), providers={"llm": Talker})


def test_a_property_whose_examples_do_not_reach_the_stage_fails() -> None:
    @FEW
    @given(st.just(joined(ONE, {"mic": {"speech": []}})))
    def never(conversation: Conversation) -> None:
        check_session(conversation, stages={"chunker": Chunking})

    with pytest.raises(Unsatisfiable):
        never()


class Talks(Provider):
    """An LLM that waits for something outside."""

    kind, name = "llm", "talks"
    loaded: ClassVar[list[type[Provider]]] = []

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[str]:
        cls.loaded.append(cls)
        yield await trio.to_thread.run_sync(str, "Yes.")

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await self.wait()
        await emit(Token(0, self.model))

    async def wait(self) -> None:
        await trio.sleep(0.01)


class TalksInAThread(Talks):
    async def wait(self) -> None:
        await trio.to_thread.run_sync(time.sleep, 0)


class TalksToAServer(Talks):
    async def wait(self) -> None:
        await trio.open_tcp_stream("127.0.0.1", 9)


class TalksToANamedServer(Talks):
    async def wait(self) -> None:
        await trio.open_tcp_stream("localhost", 9)


class AlwaysFails(Talks):
    async def wait(self) -> None:
        raise ProviderError("llm talks: no")


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (
            TalksInAThread,
            r"provider of stage 'llm' uses a thread \(trio.to_thread.run_sync\), but this session runs in virtual",
        ),
        (TalksToAServer, "the provider of stage 'llm' uses a socket"),
        (TalksToANamedServer, "the provider of stage 'llm' uses a socket"),
        (AlwaysFails, "stage 'llm' is not tested: all calls of its provider fail: talks: no"),
    ],
)
def test_a_provider_that_virtual_time_cannot_test_is_refused_at_once(cls: type[Provider], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run_state_machine_as_test(session_machine(providers={"llm": cls}))
    with pytest.raises(UsageError, match=what):
        check_session(ONE, providers={"llm": cls})


def test_a_model_is_loaded_once_for_all_conversations() -> None:
    run_state_machine_as_test(session_machine(providers={"llm": Talks}), settings=FEW)
    assert Talks.loaded.count(Talks) == 1


def test_what_never_happens_in_any_session_fails() -> None:
    def completed(report: Report) -> bool:
        return any(turn.end_reason == "completed" for turn in report.turns)

    few = settings(max_examples=20, stateful_step_count=5, deadline=None, database=None)
    machine = session_machine(sometimes={"a reply is heard": completed, "ten turns": lambda r: len(r.turns) > 9})
    machine.TestCase.settings = few
    with pytest.raises(AssertionError, match=r"never in any of the sessions: ten turns$"):
        machine.TestCase().runTest()
    fine = session_machine(sometimes={"a reply is heard": completed})
    fine.TestCase.settings = few
    fine.TestCase().runTest()


def test_a_conversation_as_a_file_keeps_its_predictor() -> None:
    conversation = Conversation(turn={"likelihood": (0.9,)}, vad={"end": {"complete": "60ms"}})
    assert [stage.kind for stage in plan_from_yaml(pipeline_of(conversation)).stages][:4] == [
        "mic",
        "vad",
        "asr",
        "turn",
    ]
