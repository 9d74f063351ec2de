"""THE turn table: total where it must be, loud where it is not, and drawn in the documentation as it stands."""

from pathlib import Path

import pytest

from flowkit.errors import IllegalTurn
from flowkit.stages.turn import TABLE, Do, Event, Turn, mermaid, turn_step

DOCS = Path(__file__).resolve().parents[2] / "docs" / "turns.md"


def test_an_illegal_pair_names_state_and_event() -> None:
    illegal = [(turn, event) for turn in Turn for event in Event if (turn, event) not in TABLE]
    assert illegal
    for turn, event in illegal:
        with pytest.raises(IllegalTurn) as raised:
            turn_step(turn, event)
        assert turn.value in str(raised.value)
        assert event.name.lower() in str(raised.value)


def test_every_row_is_what_turn_step_says() -> None:
    assert all(turn_step(turn, event) == row for (turn, event), row in TABLE.items())


def test_every_turn_can_be_reached_and_left() -> None:
    reached, left = {Turn.LISTENING}, set()
    for _ in Turn:
        for (turn, _), (after, _) in TABLE.items():
            if turn in reached and after is not turn:
                reached.add(after)
                left.add(turn)
    assert reached == left == set(Turn)


def test_whatever_the_user_says_is_never_illegal() -> None:
    """Voice, its pauses and ends, and transcripts come when they come."""
    by_the_user = (Event.SPEECH, Event.PAUSE, Event.ENDED, Event.FINAL, Event.EMPTY)
    assert all((turn, event) in TABLE for turn in Turn for event in by_the_user)


def test_every_interrupt_leaves_the_reply() -> None:
    for (turn, _), (after, do) in TABLE.items():
        if do in (Do.INTERRUPT, Do.INTERRUPT_THEN_RELEASE):
            assert turn in (Turn.THINKING, Turn.SPEAKING, Turn.HELD)
            assert after in (Turn.HEARING, Turn.CONCLUDING)


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    """Update it with: python -c "from flowkit.stages.turn import mermaid; print(mermaid())"."""
    assert f"```mermaid\n{mermaid()}```\n" in DOCS.read_text(encoding="utf-8")
