"""What sounded, by the independent account: many pieces at once are those pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Audio, EndOfReply, Hold, Interrupt, Message, Resume, Timer
from flowkit.trace.sound import Sound

others: st.SearchStrategy[Message] = st.sampled_from([Hold(), Resume(), Interrupt(), EndOfReply()])
pieces = st.lists(st.tuples(st.integers(0, 150_000), st.integers(1, 4_000)), max_size=6)


@given(
    rate=st.sampled_from([8_000, 22_050]),
    session=st.lists(st.tuples(pieces, st.integers(0, 90_000), others), max_size=6),
)
def test_many_pieces_at_once_are_those_pieces(
    rate: int, session: list[tuple[list[tuple[int, int]], int, Message]]
) -> None:
    at_once, one_by_one, now_us = Sound(20_000), Sound(20_000), 0
    for taken, later_us, other in session:
        played = list[tuple[int, Message, int]]()
        for after_us, samples in taken:
            now_us += after_us
            played.append((now_us, Timer("next"), now_us))
            played.append((now_us, Audio(0, 0, samples, rate), 0))
        at_once.pieces(played)
        for at_us, piece, _ in played:
            one_by_one.handle(piece, at_us)
        assert at_once.until_us == one_by_one.until_us
        now_us += later_us
        assert at_once.handle(other, now_us) == one_by_one.handle(other, now_us)
        assert (at_once.until_us, at_once.lost_us) == (one_by_one.until_us, one_by_one.lost_us)
