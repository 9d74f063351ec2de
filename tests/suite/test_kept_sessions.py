"""The kept traces of scripted sessions are what their script makes, and have the situations that they are kept for."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.engine import Fate, Row
from flowkit.messages import Ask, Audio, Failed, Interrupt, Resume, Revoke
from flowkit.trace.reader import Trace, read_trace
from tests.suite.kept import FOLDER, SESSIONS, keep


def kept(name: str) -> Trace:
    return read_trace(FOLDER / f"{name}.jsonl")


def with_messages(rows: list[Row], kind: type) -> list[Row]:
    return [row for row in rows if isinstance(row.message, kind)]


@pytest.mark.parametrize("name", SESSIONS)
def test_the_script_makes_it(name: str, tmp_path: Path) -> None:
    """After a change that alters it: python -m tests.suite.kept, then look at it, and approve."""
    assert read_trace(keep(name, tmp_path)).digest == kept(name).digest


@pytest.mark.parametrize("name", SESSIONS)
def test_it_is_small_and_approved(name: str) -> None:
    path = FOLDER / f"{name}.jsonl"
    assert path.stat().st_size < 70_000
    assert path.with_suffix(".expect.yaml").exists()


def test_queues_are_full_at_an_interrupt() -> None:
    rows = kept("full-queues").rows()
    gone = {row.stage for row in rows if row.fate is Fate.DISCARDED}
    assert {"chunker", "tts", "speaker"} <= gone


def test_a_turn_is_interrupted_twice() -> None:
    rows = kept("two-interrupts").rows()
    assert [row.turn for row in with_messages(rows, Interrupt) if row.stage == "llm"] == [1, 1]


def test_interruptions_are_withdrawn() -> None:
    assert len([row for row in with_messages(kept("withdrawn").rows(), Resume) if row.stage == "speaker"]) >= 2


def test_providers_fail_and_are_late() -> None:
    kinds = [row.message.kind for row in with_messages(kept("late-and-failing").rows(), Failed)]  # type: ignore[attr-defined]
    assert {"error", "timeout"} <= set(kinds)
    assert len(with_messages(kept("no-voice").rows(), Failed)) >= 4


def test_items_are_stale() -> None:
    stale = [row for row in kept("stale").rows() if row.fate is Fate.STALE]
    assert any(isinstance(row.message, Audio) for row in stale)


def test_a_history_is_longer_than_the_model_gets() -> None:
    asked = with_messages(kept("long-history").rows(), Ask)
    assert len(asked) == 7
    assert max(len(row.message.history) for row in asked) == 3  # type: ignore[attr-defined]


def test_a_guess_is_revoked() -> None:
    assert with_messages(kept("spoken-on-trust").rows(), Revoke)
