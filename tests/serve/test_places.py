"""The limits hold for all processes of a server together, and a lost one takes its sessions with it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flowkit.config.serve import ServeLimits
from flowkit.serve.places import PlaceAnswer, Places

STEPS = st.lists(
    st.tuples(st.sampled_from(("take", "take", "leave", "lost")), st.sampled_from("abc"), st.integers(0, 2))
)


@given(steps=STEPS)
def test_as_many_as_may_be_and_no_more(steps: list[tuple[str, str, int]]) -> None:
    places, held = Places(ServeLimits(sessions=4, per_peer=2)), Counter[tuple[int, str]]()
    for step, peer, worker in steps:
        of_peer = sum(count for (_, name), count in held.items() if name == peer)
        if step == "take":
            verdict = places.take(peer, worker)
            expected = (
                PlaceAnswer.FULL
                if held.total() == 4
                else PlaceAnswer.PEER_FULL
                if of_peer == 2
                else PlaceAnswer.ADMITTED
            )
            assert verdict is expected
            held[worker, peer] += verdict is PlaceAnswer.ADMITTED
        elif step == "leave" and held[worker, peer]:
            places.leave(peer, worker)
            held[worker, peer] -= 1
        elif step == "lost":
            places.lost(worker)
            held = Counter({key: count for key, count in held.items() if key[0] != worker})
        assert places.free is (held.total() < 4)
