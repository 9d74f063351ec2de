"""The timeline compared with a simple model: the clause and the sample that are played in each millisecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import ProviderError
from flowkit.messages import Play
from flowkit.providers.sound.timeline import Pop, Timeline

RATE_HZ = 1_000  # one sample a millisecond, so that times and samples are easily compared
MS = 1_000


def sound(at_ms: int, samples: int, clause: int = 0, epoch: int = 0, first: int = 0) -> Play:
    return Play(at_ms * MS, clause, first, samples, RATE_HZ, epoch, bytes(range(samples)) * 2)


def spans(pops: list[Pop]) -> list[tuple[int, int, int, int]]:
    return [(pop.t_us // MS, pop.clause, pop.first_sample, pop.samples) for pop in pops]


def test_only_what_is_due_is_popped() -> None:
    timeline = Timeline()
    timeline.play(sound(10, 50))
    assert spans(timeline.pop_until(10 * MS)) == []
    assert spans(timeline.pop_until(30 * MS)) == [(10, 0, 0, 20)]
    assert spans(timeline.pop_until(100 * MS)) == [(30, 0, 20, 30)]
    assert timeline.pop_until(200 * MS) == []


def test_a_pop_carries_its_own_samples() -> None:
    timeline = Timeline()
    timeline.play(Play(0, 3, 100, 4, RATE_HZ, 7, b"aabbccdd"))
    timeline.pop_until(1 * MS)
    assert timeline.pop_until(3 * MS) == [Pop(1 * MS, 7, 3, 101, 2, RATE_HZ, b"bbcc")]


def test_silence_drops_from_its_time_on_and_no_earlier() -> None:
    timeline = Timeline()
    timeline.play(sound(0, 40))
    timeline.play(sound(40, 40, clause=1))
    timeline.silence(25 * MS)
    assert spans(timeline.pop_until(100 * MS)) == [(0, 0, 0, 25)]


def test_what_has_been_popped_cannot_be_silenced() -> None:
    timeline = Timeline()
    timeline.play(sound(0, 40))
    timeline.pop_until(20 * MS)
    timeline.silence(0)
    assert timeline.pop_until(100 * MS) == []


def test_a_held_reply_resumes_where_it_was_cut() -> None:
    timeline = Timeline()
    timeline.play(sound(0, 40))
    timeline.silence(20 * MS)
    timeline.play(sound(60, 20, first=20))
    assert spans(timeline.pop_until(100 * MS)) == [(0, 0, 0, 20), (60, 0, 20, 20)]


def test_what_comes_too_late_sounds_when_it_is_popped() -> None:
    timeline = Timeline()
    timeline.pop_until(50 * MS)
    timeline.play(sound(10, 20))
    assert spans(timeline.pop_until(60 * MS)) == [(50, 0, 0, 20)]


def test_more_than_a_minute_ahead_is_an_error() -> None:
    timeline = Timeline()
    timeline.play(sound(0, 10))
    with pytest.raises(ProviderError, match="more than 60 s"):
        timeline.play(sound(60_000, 10))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.integers(0, 30), st.integers(0, 60)),
        st.tuples(st.just("silence"), st.integers(-20, 60), st.just(0)),
        st.tuples(st.just("pop"), st.integers(0, 40), st.just(0)),
    ),
    max_size=30,
)


@given(steps)
def test_it_sounds_exactly_what_a_tape_would(drawn: list[tuple[str, int, int]]) -> None:
    """Plays with gaps between them. `tape` is the model."""
    timeline, now, end, clause = Timeline(), 0, 0, 0
    tape: dict[int, tuple[int, int]] = {}
    popped: dict[int, tuple[int, int]] = {}
    expected: dict[int, tuple[int, int]] = {}
    for step, a, b in drawn:
        if step == "play":
            at = max(end, now) + a
            timeline.play(sound(at, b, clause))
            tape.update({at + i: (clause, i) for i in range(b)})
            end, clause = at + b, clause + 1
        elif step == "silence":
            cut = max(now, now + a)
            timeline.silence(cut * MS)
            tape = {t: what for t, what in tape.items() if t < cut}
            end = min(end, cut)
        else:
            now += a
            expected.update({t: what for t, what in tape.items() if t < now})
            for pop in timeline.pop_until(now * MS):
                assert len(pop.pcm) == 2 * pop.samples
                popped.update({pop.t_us // MS + i: (pop.clause, pop.first_sample + i) for i in range(pop.samples)})
    assert popped == expected


@given(rate=st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000]), cuts=st.lists(st.integers(1, 50_000)))
def test_no_sample_is_lost_or_doubled_however_it_is_popped(rate: int, cuts: list[int]) -> None:
    timeline, now = Timeline(), 0
    timeline.play(Play(12_345, 0, 0, rate, rate, 0, bytes(2 * rate)))
    pops = []
    for cut in [*cuts, 10_000_000]:
        now += cut
        pops += timeline.pop_until(now)
    assert [pop.first_sample for pop in pops[1:]] == [pop.first_sample + pop.samples for pop in pops[:-1]]
    assert sum(pop.samples for pop in pops) == rate
