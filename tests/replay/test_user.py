"""What the user's speech keeps its distance to, and what the user does when the agent behaves otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowkit.replay.hearing import AgentSound
from flowkit.replay.user import Manner, User, UserPiece, user_of

FRAME_US = 20_000
MS = 1_000


def frames(*spans: tuple[int, int]) -> list[int]:
    """The voiced frames of speech from one time to another, in milliseconds."""
    return [frame for begins, ends in spans for frame in range(begins // 20, ends // 20)]


def heard(begins: int, ends: int | None, *, whole: bool = True) -> AgentSound:
    """A sound of the agent, in milliseconds."""
    return AgentSound(1, begins * MS, None if ends is None else ends * MS, whole and ends is not None)


def of(voiced: list[int], *sounds: AgentSound, ends: int = 10_000) -> User:
    return user_of(voiced, ends // 20, sounds, FRAME_US)


def test_speech_is_anchored_to_what_was_heard() -> None:
    user = of(
        frames((300, 1000), (1300, 1800), (5000, 6000), (7500, 7800)), heard(2600, 4400), heard(7000, 7700, whole=False)
    )
    assert [(piece.manner, piece.gap_us // MS) for piece in user.pieces] == [
        (Manner.OWN, 300),
        (Manner.OWN, 300),
        (Manner.AFTER, 600),
        (Manner.INTO, 500),
        (Manner.OWN, 2200),
    ]
    assert user.reactions.middle_us == 600 * MS


def test_what_nobody_can_have_noticed_yet_is_no_anchor() -> None:
    """The release of a turn cannot be heard, and a sound that began 100 ms before takes longer to react to."""
    (_, piece, _) = of(frames((300, 1000), (1600, 2000)), heard(1500, 1700, whole=False)).pieces
    assert (piece.manner, piece.gap_us) == (Manner.OWN, 600 * MS)


def test_the_end_of_an_answer_is_foreseen_and_answered_sooner_than_other_sounds() -> None:
    said, before = frames((300, 1000), (4000, 5000)), frames((300, 1000), (3960, 5000))
    soon = of(said, heard(2000, 3880)).pieces[1]
    assert (soon.manner, soon.gap_us) == (Manner.AFTER, 120 * MS)
    assert of(before, heard(2000, 3880)).pieces[1].manner is Manner.INTO
    user = of(said, heard(2000, 3880))
    assert user.due_us(soon, 1000 * MS, [heard(2000, None)]) is None, "a longer answer is heard out"
    assert user.due_us(soon, 1000 * MS, [heard(2000, 4880)]) == 5000 * MS


def test_a_slower_agent_is_answered_after_it_has_finished() -> None:
    user = of(frames((300, 1000), (5000, 6000)), heard(2600, 4400))
    asks = user.pieces[1]
    assert user.due_us(asks, 1000 * MS, []) == 1000 * MS + user.patience_us
    assert user.due_us(asks, 1000 * MS, [heard(3000, None)]) is None
    assert user.due_us(asks, 1000 * MS, [heard(3000, 4800)]) == 5400 * MS


def test_a_barge_in_stays_as_far_into_the_answer_or_follows_one_that_is_shorter() -> None:
    user = of(frames((300, 1000), (4000, 5000), (9000, 9500)), heard(2000, 4100, whole=False), heard(6000, 8400))
    barges = user.pieces[1]
    assert (barges.manner, barges.gap_us) == (Manner.INTO, 2000 * MS)
    assert user.due_us(barges, 1000 * MS, [heard(2500, None)]) == 4500 * MS
    assert user.due_us(barges, 1000 * MS, [heard(2500, 3000)]) == 3600 * MS
    cut = heard(1500, 1600, whole=False)
    assert user.due_us(barges, 1000 * MS, [cut, heard(2500, None)]) == 4500 * MS


def test_a_user_who_waited_in_vain_stops_to_listen_when_the_agent_begins() -> None:
    user = of(frames((300, 1000), (6000, 7000)))
    asks = user.pieces[1]
    assert (asks.manner, asks.gap_us, user.patience_us) == (Manner.OWN, 5000 * MS, 5000 * MS)
    assert user.due_us(asks, 1000 * MS, [heard(3000, None)]) is None
    assert user.due_us(asks, 1000 * MS, [heard(3000, 4000)]) == 4000 * MS + user.reactions.middle_us
    assert user.due_us(asks, 1000 * MS, [heard(5900, None)]) == 6000 * MS


def test_who_has_heard_two_answers_waits_for_two() -> None:
    """A greeting and a nudge, say."""
    user = of(frames((300, 1000), (9000, 9500)), heard(2000, 3000), heard(7000, 8000))
    asks = user.pieces[1]
    assert asks == UserPiece(450, 474, Manner.AFTER, 1000 * MS, 2, heard_us=1000 * MS)
    assert user.due_us(asks, 1000 * MS, [heard(2500, 3500)]) == 3500 * MS + user.patience_us
    assert user.due_us(asks, 1000 * MS, [heard(2500, 3500), heard(7500, 8500)]) == 9500 * MS


@given(st.data())
def test_if_the_agent_does_the_same_the_user_does(data: st.DataObject) -> None:
    """Whatever was said when: each piece is due when it came, judged by what had been heard until shortly before it."""
    times = sorted(data.draw(st.lists(st.integers(1, 450), min_size=2, max_size=16, unique=True)))
    turns = data.draw(st.lists(st.sampled_from(["agent", "cut", "user"]), min_size=8, max_size=8))
    spans = list(zip(times[::2], times[1::2], strict=False))
    voiced = frames(*((20 * a, 20 * b) for (a, b), who in zip(spans, turns, strict=False) if who == "user"))
    sounds = [
        heard(20 * a, 20 * b, whole=who == "agent") for (a, b), who in zip(spans, turns, strict=False) if who != "user"
    ]
    user = of(voiced, *sounds)
    spoke_us = 0
    for piece in user.pieces:
        begins_us = piece.first * FRAME_US
        known = [sound for sound in sounds if sound.began_us <= begins_us]
        assert user.due_us(piece, spoke_us, known) == begins_us
        spoke_us = (piece.last + 1) * FRAME_US
