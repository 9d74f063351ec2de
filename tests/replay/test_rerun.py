"""Exact replay: identical where the code is the same, and the first difference where it is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowkit.config import load
from flowkit.engine import Engine, Fate, Row, Stimulus
from flowkit.messages import (
    Ask,
    Cancelled,
    Clause,
    Credit,
    Fed,
    Frames,
    Interrupt,
    Message,
    Play,
    Silence,
    Speak,
    Timer,
    Token,
)
from flowkit.plan import Plan, resolve
from flowkit.plan.show import show
from flowkit.replay.compare import row_line
from flowkit.replay.rerun import Difference, Rerun, exactly
from flowkit.replay.settings import recorded_plan
from flowkit.stages import playback
from flowkit.stages.base import PROVIDER, Actions, Emit, Feed, Open
from flowkit.stages.chunking import Chunking
from flowkit.stages.llm import LlmTurn
from flowkit.stages.transcription import Transcription
from flowkit.stages.tts import TtsOrder
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations
from flowkit.trace.reader import Trace, read_trace
from tests.config.experiments_of_tools import TOOLED
from tests.trace.recording import record
from tests.trace.sessions import pipeline

KEPT = Path(__file__).resolve().parents[2] / "traces"
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
SESSIONS = {
    "barge_in": pipeline(),
    "narrow": pipeline(tts="queue: {max: 1}"),
    "dropping": pipeline(chunker="queue: {max: 2, when_full: drop_oldest}"),
    "thinking": pipeline("{at: 280ms, lasts: 820ms}, {at: 1600ms, lasts: 900ms}", llm="first_token: 900ms"),
    "failing": pipeline(tts="fail: true"),
    "tools": TOOLED,
    "a tool interrupted": TOOLED.replace("after: 400ms", "after: 3s").replace("at: 3s", "at: 2500ms"),
    "predicted": pipeline(vad="end: {}", turn="likelihood: [0.9, 0.1, 0.5], latency: 30ms"),
    "withdrawn": pipeline("{at: 280ms, lasts: 820ms}, {at: 2780ms, lasts: 80ms}"),
}


def recorded(folder: Path, text: str) -> Trace:
    config = load("test.yaml", text=text)
    plan = resolve(config)
    return read_trace(record(folder / "a.jsonl", plan, config=show(config, plan)).recording.path)


@pytest.fixture(scope="module", params=SESSIONS)
def trace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return recorded(tmp_path_factory.mktemp("trace"), SESSIONS[request.param])


def difference(plan: Plan, rows: list[Row], *, whole: bool = True) -> Difference | None:
    again = Rerun(plan, rows, whole=whole)
    equal = list(again)
    assert equal == rows[: len(equal)]
    assert again.difference is not None or len(equal) == len(rows)
    return again.difference


# -- the same code -----------------------------------------------------------------------------------------------------


def test_the_journal_comes_out_identical(trace: Trace) -> None:
    result = exactly(trace)
    assert result.difference is None
    assert trace.end is not None
    assert result.report.digest == trace.end.digest
    assert result.report.messages == trace.end.rows
    assert result.report.queues == trace.end.queues or not trace.end.queues


@settings(max_examples=10_000 if DEEP else 150, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversations(), st.booleans())
def test_any_conversation_comes_out_identical(conversation: Conversation, live: bool) -> None:
    plan = scripted_plan(**conversation)
    engine = (trio_session if live else heap_session)(plan)
    assert difference(plan, engine.journal.rows, whole=engine.finished is not None) is None


def test_what_is_stale_comes_out_stale() -> None:
    """A provider that goes on after its call was cancelled, and one whose call has ended: by the numbers of their calls."""
    plan = scripted_plan()
    engine = Engine(plan)
    engine.begin(0)
    llm = next(place for place, stage in enumerate(plan.stages) if stage.id == "llm")
    engine.advance(20_000, (Stimulus(llm, 77, Token(0, "late"), 20_000), Stimulus(0, 1, Frames(0, 1), 20_000)))
    rows = engine.journal.rows
    assert [row.call for row in rows if row.fate is Fate.STALE] == [77]
    assert difference(plan, rows, whole=False) is None


def test_a_killed_session_replays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = recorded(tmp_path, pipeline()).path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:100])
    trace = read_trace(path)
    assert len(trace.notices) == 2
    assert exactly(trace).same


def test_a_journal_may_end_anywhere() -> None:
    plan = scripted_plan()
    rows = heap_session(plan).journal.rows
    for end in range(1, 60):
        assert difference(plan, rows[:end], whole=False) is None


def test_an_item_that_was_held_back_and_would_not_be_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sound of a guess waits for the verdict. In the journal it comes when it was accepted, so only its wait tells."""
    trace = read_trace(KEPT / "spoken-on-trust.jsonl")
    assert exactly(trace).same
    monkeypatch.setattr(
        TtsOrder, "accepts", lambda stage, state: frozenset({PROVIDER}) if state.speaking else stage.everything
    )
    found = exactly(trace).difference
    assert found is not None
    assert (found.stage, found.what) == ("tts", "the stage held this item back, and accepts it now")


# -- another journal ---------------------------------------------------------------------------------------------------


def test_a_changed_row_is_a_difference_with_its_causes(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline())
    chunks = tuple(chunk._replace(text=chunk.text.replace('"sentence"', '"comma"')) for chunk in trace.chunks)
    found = exactly(replace(trace, chunks=chunks)).difference
    assert found is not None
    assert found.recorded is not None
    assert found.now is not None
    assert row_line(found.recorded) != row_line(found.now)
    assert found.what == "another reason of the Clause"
    assert found.stage == "chunker"
    assert [row.stage for row in found.causes_now] == ["chunker", "llm"]


@settings(max_examples=1_000 if DEEP else 60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_changed_in_a_journal_is_found(data: st.DataObject) -> None:
    """A row that is lost, comes twice, or has another value; but for when the engine was looked at, which a wake-up says."""
    plan = scripted_plan(mic={"speech": [{"at": "100ms", "lasts": "300ms"}, {"at": "900ms", "lasts": "300ms"}]})
    rows = heap_session(plan).journal.rows
    place = data.draw(st.integers(0, len(rows) - 1))
    row = rows[place]
    match data.draw(st.sampled_from(["lost", "twice", "epoch", "turn", "cause", "fate", "call", "message", "sent"])):
        case "lost":
            changed = []
        case "twice":
            changed = [row, row]
        case "epoch":
            changed = [row._replace(epoch=row.epoch + 1)]
        case "turn":
            changed = [row._replace(turn=row.turn + 1)]
        case "cause":
            changed = [row._replace(cause_stage="gate", cause_n=row.cause_n + 1)]
        case "fate":
            changed = [row._replace(fate=Fate.HANDLED if row.fate else Fate.DROPPED)]
        case "call":
            changed = [row._replace(call=row.call + 1)]
        case "sent" if row.cause_stage:
            changed = [row._replace(sent_us=row.sent_us - 1)]
        case _:
            changed = [row._replace(message=Fed(3, 3) if row.lane == "P" else Timer("other"))]
    rows[place : place + 1] = changed
    assert _differs(plan, rows)


def _differs(plan: Plan, rows: list[Row]) -> bool:
    again = Rerun(plan, rows)
    list(again)
    return again.difference is not None


# -- other code --------------------------------------------------------------------------------------------------------


class Refusing(Chunking):
    """A chunker that breaks."""

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        from flowkit.errors import FlowkitError

        raise FlowkitError("no more")


def with_stage(plan: Plan, kind: str, cls: Any) -> Plan:
    return replace(
        plan, stages=tuple(replace(stage, cls=cls) if stage.kind == kind else stage for stage in plan.stages)
    )


def test_a_stage_that_refuses_a_message_is_a_difference() -> None:
    plan = scripted_plan(**TALK)
    found = difference(with_stage(plan, "chunker", Refusing), heap_session(plan).journal.rows)
    assert found is not None
    assert found.what == "the stage refuses the message: no more"


TALK: Conversation = {
    "mic": {"speech": [{"at": "100ms", "lasts": "300ms"}, {"at": "2500ms", "lasts": "600ms"}]},
    "asr": {"utterances": ("Tell me.", "And then?")},
    "llm": {
        "first_token": "60ms",
        "per_token": "1ms",
        "replies": (
            {"text": "Well, it is *Paris*, on the Seine. It has bridges. It has towers. Come and see it, do."},
        ),
    },
    "tts": {"queue": {"max": 1}, "first_audio": "60ms", "per_char": "30ms"},
    "speaker": {"queue": {"max": 5}},
}
"""Two turns, the second an interruption of the first, while clauses wait before a narrow voice."""


def _late(piece: Any) -> Play:
    play = _on_time(piece)
    return replace(play, at_us=play.at_us + 100_000)


_on_time = playback._play


def _settle_last_first(self: Engine) -> None:
    """Within an instant the highest stage first."""
    while self.finished is None:
        pending = [slot for slot in self._slots if slot.control]
        if pending:
            slot = pending[-1]
            envelope = slot.control.popleft()
            if not slot.control:
                self._control &= ~slot.bit
            self._handle(slot, envelope)
        elif self._deadlines and self._deadlines[0][0] <= self.now_us:
            self._fire()
        else:
            ready = [slot for slot in self._slots if slot.takeable() is not None]
            if not ready:
                self._ready = 0
                return
            slot = ready[-1]
            inbox = slot.takeable()
            assert inbox is not None
            envelope = inbox.queue.popleft()
            slot.waiting -= 1
            if inbox.blocked_since_us >= 0:
                self._flush(self._slots[inbox.source])
            self._handle(slot, envelope)


def _without_credit(self: Engine, stimulus: Stimulus) -> None:
    """A credit is written down and not counted."""
    slot = self._slots[stimulus.stage]
    if type(stimulus.item) is Credit and slot.call is not None and slot.call.id == stimulus.call:
        self._record(
            slot, (stimulus.item, "", 0, stimulus.available_us, slot.epoch, slot.turn, 0), Fate.HANDLED, slot.call.id
        )
    else:
        _stimulus(self, stimulus)


_stimulus = Engine._stimulus


def _swapped(stage: Any, swap: Callable[[Any], Any]) -> Any:
    class Swapped(stage):  # type: ignore[misc]
        def step(self, state: Any, message: Message, now_us: int) -> Actions:
            return [swap(action) for action in super().step(state, message, now_us)]

    return Swapped


def _token(action: Any) -> Any:
    if isinstance(action, Emit) and isinstance(action.message, Token):
        return Emit(action.port, Token(action.message.index, action.message.text.strip()))
    return action


def _forgetful(action: Any) -> Any:
    return Open(Ask(action.request.turn, action.request.text)) if isinstance(action, Open) else action


class Raw(TtsOrder):
    """Gives the TTS the clause as it was written."""

    def _speak(self, state: Any, clause: Clause) -> Actions:
        return [
            Open(Speak(clause.index, clause.text)) if isinstance(action, Open) else action
            for action in super()._speak(state, clause)
        ]


class Miscounting(TtsOrder):
    """Counts a sample too many."""

    def _ended(self, state: Any, *, whole: bool = True) -> list[Emit]:
        state.samples += 1
        return super()._ended(state, whole=whole)


class Deaf(Transcription):
    """Feeds the ASR nothing."""

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        return [action for action in super().step(state, message, now_us) if not isinstance(action, Feed)]


PLANTED: dict[str, tuple[Callable[[Plan, pytest.MonkeyPatch], Plan], tuple[str, ...], tuple[type[Message], ...]]] = {
    "another bound": (
        lambda plan, _: replace(
            plan,
            edges=tuple(
                replace(edge, bound=replace(edge.bound, max=4)) if edge.target == "tts" and edge.bound else edge
                for edge in plan.edges
            ),
        ),
        ("chunker", "llm", "tts"),
        (),
    ),
    "another settle order": (
        lambda plan, patch: patch.setattr(Engine, "_settle", _settle_last_first) or plan, ("mic",), (),
    ),
    "an outbox that is not flushed": (
        lambda plan, patch: patch.setattr(Engine, "_flush", lambda self, slot: None) or plan,
        ("chunker", "llm", "tts"), (),
    ),
    "a credit lost": (
        lambda plan, patch: patch.setattr(Engine, "_stimulus", _without_credit) or plan, ("mic", "tts", "vad"), (),
    ),
    "a queue that is not drained": (
        lambda plan, patch: patch.setattr(Engine, "_drain", lambda self, slot: None) or plan,
        ("llm", "chunker", "tts", "speaker"), (),
    ),
    "a wrong history": (lambda plan, _: with_stage(plan, "llm", _swapped(LlmTurn, _forgetful)), ("llm",), (Ask,)),
    "the raw text given to the voice": (lambda plan, _: with_stage(plan, "tts", Raw), ("tts",), (Speak,)),
    "sound that is 100 ms late": (
        lambda plan, patch: patch.setattr(playback, "_play", _late) or plan, ("speaker",), (Play,),
    ),
    "an ASR that is fed nothing": (lambda plan, _: with_stage(plan, "asr", Deaf), ("asr",), (Fed,)),
    "a token's space stripped": (lambda plan, _: with_stage(plan, "llm", _swapped(LlmTurn, _token)), ("llm",), (Token,)),
    "samples miscounted": (lambda plan, _: with_stage(plan, "tts", Miscounting), ("tts",), ()),
}  # fmt: skip


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_change_is_found_at_its_row(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = scripted_plan(**TALK)
    rows = heap_session(plan).journal.rows
    assert {Ask, Speak, Play, Silence, Cancelled, Fed} <= {type(row.message) for row in rows}
    plant, stages, kinds = PLANTED[what]
    found = difference(plant(plan, monkeypatch), rows)
    assert found is not None
    assert found.stage in stages
    told = [row for row in (found.recorded, found.now) if row is not None]
    assert told
    assert len({row_line(row) for row in told}) == len(told)
    assert not kinds or any(isinstance(row.message, kinds) for row in told)


@settings(max_examples=2_000 if DEEP else 60, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversations(), st.data())
def test_a_stage_that_forgets_a_message_is_found_where_it_matters(
    conversation: Conversation, data: st.DataObject
) -> None:
    """Wherever a message led to something, that it does not now is the first difference."""
    plan = scripted_plan(**conversation)
    rows = heap_session(plan).journal.rows
    # At an interrupt the engine itself cancels the call, whatever the stage does.
    interrupts = {(row.stage, row.n) for row in rows if type(row.message) is Interrupt}
    effects = {row.cause for row in rows if type(row.message) is not Cancelled or row.cause not in interrupts}
    handled = [row for row in rows if row.fate is Fate.HANDLED and (row.stage, row.n) in effects and row.lane != "P"]
    row = data.draw(st.sampled_from(handled))
    kind = next(stage.kind for stage in plan.stages if stage.id == row.stage)
    cls: Any = plan.stage(row.stage).cls

    class Forgetful(cls):  # type: ignore[misc]
        def step(self, state: Any, message: Message, now_us: int) -> Actions:
            return () if (message, now_us) == (row.message, row.handled_us) else super().step(state, message, now_us)

    assert difference(with_stage(plan, kind, Forgetful), rows) is not None


def test_a_kept_trace_is_run_with_its_own_plan() -> None:
    path = Path(__file__).resolve().parents[2] / "traces" / "barge-in.jsonl"
    trace = read_trace(path)
    assert difference(recorded_plan(trace), trace.rows()) is None
