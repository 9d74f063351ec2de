"""Exact replay as the engine run again agrees with the fold over recorded rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowkit.messages import Message
from flowkit.plan import Plan
from flowkit.replay.difference import Diverged
from flowkit.replay.exact import Fold
from flowkit.replay.rerun import first_difference, rerun
from flowkit.replay.settings import recorded_plan
from flowkit.stages.base import Actions
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations
from flowkit.trace.reader import read_trace
from flowkit.trace.rows import RowTuple

EACH = int(os.environ.get("CONVERSATIONS", "60"))
KEPT = sorted((Path(__file__).resolve().parents[2] / "traces").glob("*.jsonl"))


def folds(plan: Plan, rows: list[RowTuple]) -> bool:
    fold = Fold(plan)
    try:
        for row in rows:
            fold.row(row)
        fold.end(fold.now_us)
    except Diverged:
        return False
    return True


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_traces_come_out_equal(path: Path) -> None:
    trace = read_trace(path)
    plan, rows = recorded_plan(trace), trace.rows()
    assert folds(plan, rows)
    assert first_difference(rows, rerun(plan, rows)) is None


def agree(plan: Plan, rows: list[RowTuple]) -> bool:
    equal = first_difference(rows, rerun(plan, rows)) is None
    assert equal == folds(plan, rows)
    return equal


@settings(max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversations(), st.booleans())
def test_any_conversation_comes_out_equal(conversation: Conversation, live: bool) -> None:
    plan = scripted_plan(**conversation)
    engine = (trio_session if live else heap_session)(plan)
    assert agree(plan, [(*row[:10], str(row[10])) for row in engine.journal])


@settings(max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversations(), st.data())
def test_what_a_fold_sees_is_seen(conversation: Conversation, data: st.DataObject) -> None:
    """A stage that forgets one message: whatever the fold finds the engine finds too."""
    plan = scripted_plan(**conversation)
    rows: Any = [(*row[:10], str(row[10])) for row in heap_session(plan).journal]
    row = data.draw(st.sampled_from(rows))
    place = next(i for i, stage in enumerate(plan.stages) if stage.id == row[0])
    cls: Any = plan.stages[place].cls

    class Forgetful(cls):  # type: ignore[misc]
        def step(self, state: Any, message: Message, now_us: int) -> Actions:
            return () if (message, now_us) == (row[9], row[5]) else super().step(state, message, now_us)

    from dataclasses import replace

    stages = tuple(replace(s, cls=Forgetful) if i == place else s for i, s in enumerate(plan.stages))
    changed = replace(plan, stages=stages)
    if not folds(changed, rows):
        assert first_difference(rows, rerun(changed, rows)) is not None
