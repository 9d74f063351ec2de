"""Exact replay: identical where the code is the same, and the first difference where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config import load
from flowkit.messages import Clause, Credit, Frames, Interrupt, Message, Probability, Timer, Token
from flowkit.plan import resolve
from flowkit.plan.show import show
from flowkit.replay.check import exactly
from flowkit.replay.exact import Diverged, Fold
from flowkit.replay.settings import recorded_plan
from flowkit.stages.base import Actions, Emit, SetTimer
from flowkit.stages.chunking import Chunking, ChunkingState
from flowkit.trace.codec import Encoder
from flowkit.trace.reader import Trace, read_trace
from flowkit.trace.rows import RowTuple
from flowkit.trace.stretch import decode, rows_of
from tests.trace.recording import record
from tests.trace.sessions import pipeline

SESSIONS = {
    "barge_in": pipeline(),
    "narrow": pipeline(tts="queue: {max: 1}"),
    "dropping": pipeline(chunker="queue: {max: 2, when_full: drop_oldest}"),
    "thinking": pipeline("{at: 280ms, lasts: 820ms}, {at: 1600ms, lasts: 900ms}", llm="first_token: 900ms"),
    "failing": pipeline(tts="fail: true"),
    "withdrawn": pipeline("{at: 280ms, lasts: 820ms}, {at: 2780ms, lasts: 80ms}"),
}


def recorded(folder: Path, text: str) -> Trace:
    config = load("test.yaml", text=text)
    plan = resolve(config)
    return read_trace(record(folder / "a.jsonl", plan, config=show(config, plan)).recording.path)


@pytest.fixture(scope="module", params=SESSIONS)
def trace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return recorded(tmp_path_factory.mktemp("trace"), SESSIONS[request.param])


@pytest.mark.parametrize("frame_by_frame", [False, True])
def test_the_journal_comes_out_identical(trace: Trace, frame_by_frame: bool) -> None:
    result = exactly(trace, frame_by_frame=frame_by_frame)
    assert result.difference is None
    assert result.same
    assert trace.end is not None
    assert result.report.digest == trace.end.digest
    assert result.report.messages == trace.end.rows


def test_figures_do_not_depend_on_run_lengths(trace: Trace) -> None:
    runs, frames = exactly(trace).report, exactly(trace, frame_by_frame=True).report
    assert replace(runs, wall_us=0) == replace(frames, wall_us=0)


def test_calls_are_known_with_their_requests(trace: Trace) -> None:
    fold = Fold(recorded_plan(trace))
    fold.take(trace.items())
    asked = [type(call.request).__name__ for call in fold.calls]
    assert asked[:4] == ["Capture", "Detect", "Transcribe", "Render"]
    assert asked.count("Ask") == 2


class Shouting(Chunking):
    """A chunker whose next version writes the second clause in capitals."""

    def step(self, state: ChunkingState, message: Message, now_us: int) -> Actions:
        return [self._shouted(action) for action in super().step(state, message, now_us)]  # type: ignore[misc]

    @staticmethod
    def _shouted(action: object) -> object:
        if isinstance(action, Emit) and isinstance(action.message, Clause) and action.message.index == 1:
            return Emit(action.port, replace(action.message, text=action.message.text.upper()))
        return action


def test_changed_code_shows_at_its_first_different_message(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    plan = recorded_plan(trace)
    stages = tuple(replace(stage, cls=Shouting) if stage.kind == "chunker" else stage for stage in plan.stages)
    with pytest.raises(Diverged) as caught:
        Fold(replace(plan, stages=stages)).take(trace.items())
    found = caught.value.difference
    assert found.stage == "tts"
    assert found.recorded is not None
    assert isinstance(found.now, Clause)
    assert found.now.text == found.recorded[9].text.upper()  # type: ignore[attr-defined]


def test_a_tolerant_fold_goes_on_and_keeps_the_first(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    plan = recorded_plan(trace)
    stages = tuple(replace(stage, cls=Shouting) if stage.kind == "chunker" else stage for stage in plan.stages)
    strict, tolerant = Fold(plan), Fold(replace(plan, stages=stages), tolerant=True)
    strict.take(trace.items())
    tolerant.take(trace.items())
    assert tolerant.first is not None
    assert [call.request for call in tolerant.calls] == [call.request for call in strict.calls]


def test_a_changed_row_is_a_difference_with_its_causes(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline())
    chunks = tuple(chunk._replace(text=chunk.text.replace('"sentence"', '"comma"')) for chunk in trace.chunks)
    result = exactly(replace(trace, chunks=chunks))
    assert not result.same
    assert result.difference is not None
    assert result.difference.recorded is not None
    assert result.causes_now


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_stretches_differ_where_rows_do(trace: Trace, data: st.DataObject) -> None:
    rows = trace.rows()
    place = data.draw(st.integers(0, len(rows) - 1))
    what = data.draw(st.sampled_from(["lost", "twice", "later", "sent", "epoch", "turn", "cause", "fate", "message"]))
    changed = [*rows[:place], *_changed(rows[place], what, data), *rows[place + 1 :]]
    chunks = [*(encoder := Encoder(trace.layout)).add(_numbered(changed)), *encoder.finish()]
    stretches = [stretch for chunk in chunks for stretch in decode(chunk.text, trace.layout)]
    one_by_one, at_once = Fold(recorded_plan(trace)), Fold(recorded_plan(trace))
    assert _differs(lambda: [one_by_one.row(row) for row in rows_of(stretches)]) == _differs(
        lambda: at_once.take(stretches)
    )


@pytest.mark.parametrize("patience_us", [5_000, 40_000, 100_000])
@pytest.mark.parametrize("kind", ["gate", "llm", "chunker", "tts", "speaker"])
def test_a_deadline_that_is_taken_back_too_late_is_seen_by_stretches_too(
    trace: Trace, kind: str, patience_us: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = recorded_plan(trace)
    cls: Any = plan.stage(kind).cls
    step, waiting = cls.step, [False]

    def impatient(self: object, state: object, message: Message, now_us: int) -> Actions:
        waiting[0] = not waiting[0]
        at_us = now_us + patience_us if waiting[0] else None
        return [*step(self, state, message, now_us), SetTimer(at_us, "patience")]

    monkeypatch.setattr(cls, "step", impatient)
    at_once, one_by_one = Fold(plan), Fold(plan)
    by_stretches = _differs(lambda: at_once.take(trace.items()))
    waiting[0] = False
    assert by_stretches == _differs(lambda: [one_by_one.row(row) for row in trace.rows()])


def _changed(row: RowTuple, what: str, data: st.DataObject) -> list[RowTuple]:
    stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, fate = row
    match what:
        case "lost":
            return []
        case "twice":
            return [row, row]
        case "later":
            return [(stage, n, cause, cause_n, sent_us, now_us + 1, lane, epoch, turn, message, fate)]
        case "sent":
            return [(stage, n, cause, cause_n, sent_us - 1, now_us, lane, epoch, turn, message, fate)]
        case "epoch":
            return [(stage, n, cause, cause_n, sent_us, now_us, lane, epoch + 1, turn, message, fate)]
        case "turn":
            return [(stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn + 1, message, fate)]
        case "cause" if cause:
            return [(stage, n, cause, cause_n - 1, sent_us, now_us, lane, epoch, turn, message, fate)]
        case "fate":
            return [(stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, "" if fate else "stale")]
    other = data.draw(
        st.sampled_from([Token(0, "other"), Timer("next"), Credit(3), Probability(9, 0.99), Frames(9, 1), Interrupt()])
    )
    return [(stage, n, cause, cause_n, sent_us, now_us, other.lane, epoch, turn, other, fate)]


def _numbered(rows: list[RowTuple]) -> list[RowTuple]:
    """In time, and numbered anew by stage; causes keep their numbers."""
    numbered, counts, now_us = list[RowTuple](), dict[str, int](), 0
    for row in rows:
        counts[row[0]] = counts.get(row[0], 0) + 1
        now_us = max(now_us, row[5])
        numbered.append((row[0], counts[row[0]], *row[2:5], now_us, *row[6:]))
    return numbered


def _differs(fold: Callable[[], object]) -> bool:
    try:
        fold()
    except Diverged:
        return True
    return False


def test_a_killed_session_replays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = recorded(tmp_path, pipeline()).path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:100])
    trace = read_trace(path)
    assert len(trace.notices) == 2
    for frame_by_frame in (False, True):
        assert exactly(trace, frame_by_frame=frame_by_frame).same
