"""The public state machine and strategies: they pass on flowkit itself, and find planted bugs in a user's own parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test

from flowkit.messages import Clause, Done, Message, Token
from flowkit.options import Options
from flowkit.providers.base import Emit, Provider
from flowkit.replay.simulate import simulate
from flowkit.stages.base import Actions
from flowkit.stages.base import Emit as EmitAction
from flowkit.stages.chunking import Chunking
from flowkit.testing.invariants import Broken
from flowkit.testing.session_machine import check_session, save_trace, session_machine
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
    """An LLM of one's own."""

    kind, name = "llm", "talker"

    class Options(Options):
        pass

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        for index, word in enumerate(("Yes, ", "I ", "think ", "so.")):
            await emit(Token(index, word))
        await emit(Done())


def test_flowkit_itself_passes() -> None:
    run_state_machine_as_test(session_machine(), settings=FEW)


def test_a_clause_that_is_lost_is_found_shrunk_and_saved(tmp_path: Path) -> None:
    saved = tmp_path / "failing.jsonl"
    with pytest.raises(Broken) as found:
        run_state_machine_as_test(session_machine(save=saved, stages={"chunker": Losing}), settings=FEW)
    [conversation] = [note for note in found.value.__notes__ if note.startswith("the conversation: ")]
    assert conversation.count("'at'") == 1
    trace = read_trace(saved)
    assert any(isinstance(row[9], Token) for row in trace.rows())


def test_a_pipeline_file_is_tested_with_scripted_providers(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        Path("pipelines/scripted.yaml").read_text("utf-8").replace("{kind: chunker}", "{kind: chunker, max_tokens: 5}")
    )
    engine = check_session(ONE, pipeline=path)
    clauses = [row.message for row in engine.journal if row.stage == "tts" and isinstance(row.message, Clause)]
    assert len(clauses) > 2
    assert all(clause.tokens <= 5 for clause in clauses)


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
