from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from flowkit.providers.sound.device_ring import LATE_BLOCKS, DueBlock, MicRing, SpeakerRing

FRAME_US = 20_000


class Clock:
    now_us = 0

    def __call__(self) -> int:
        return self.now_us


def speaker() -> tuple[SpeakerRing, Clock]:
    clock = Clock()
    return SpeakerRing(FRAME_US, clock, lambda: True), clock


def run(ring: SpeakerRing, at_us: int, count: int) -> None:
    """A run of `count` chunks due from `at_us` on; each says when it is due."""
    for i in range(count):
        due_us = at_us + i * FRAME_US
        ring.push(DueBlock(due_us, 1, 0, i == 0, due_us.to_bytes(8, "little")))
    ring.until_us = at_us + count * FRAME_US


def popped(ring: SpeakerRing) -> int | None:
    pcm = ring.wants(False)
    return None if pcm is None else int.from_bytes(pcm, "little")


def test_a_run_begins_with_the_first_callback_at_or_after_its_time() -> None:
    ring, clock = speaker()
    run(ring, 100_000, 2)
    clock.now_us = 87_000
    assert popped(ring) is None
    clock.now_us = 107_000
    assert popped(ring) == 100_000
    clock.now_us = 127_000
    assert popped(ring) == 120_000
    clock.now_us = 147_000
    assert popped(ring) is None
    assert [happening.what for happening in ring.happenings] == ["began", "ended"]


def test_a_dry_ring_in_the_midst_of_a_run_is_an_underrun() -> None:
    ring, clock = speaker()
    run(ring, 0, 1)
    ring.until_us = 400_000
    popped(ring)
    clock.now_us = 20_000
    assert popped(ring) is None
    assert [happening.what for happening in ring.happenings] == ["began", "underrun"]


def test_a_device_that_falls_behind_leaves_blocks_out_and_says_so() -> None:
    ring, clock = speaker()
    run(ring, 0, 10)
    popped(ring)
    clock.now_us = (LATE_BLOCKS + 2) * FRAME_US + 1
    assert popped(ring) == (LATE_BLOCKS + 2) * FRAME_US
    assert any("skipped" in happening.detail for happening in ring.happenings)


def test_a_device_whose_clock_runs_on_ahead_is_given_silence_not_sound_before_its_time() -> None:
    ring, _ = speaker()
    run(ring, 0, 10)
    due_us = [popped(ring), popped(ring), popped(ring), popped(ring)]
    assert due_us == [0, 20_000, None, None]


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=6, unique=True),
    st.integers(0, FRAME_US - 1),
    st.integers(-400, 400),
)
def test_after_a_decision_to_be_silent_at_most_one_frame_is_popped(
    decisions: list[int], phase_us: int, drift_ppm: int
) -> None:
    """Whatever the device's phase and drift: what is silenced from the next tick on is never popped, and within one
    frame of the decision nothing is."""
    ring, clock = speaker()
    begins_us = 0
    for frames in sorted(decisions):
        run(ring, begins_us, 40)
        decided_us = begins_us + frames * FRAME_US + 11_000
        cut_us = -(-decided_us // FRAME_US) * FRAME_US
        first, silenced = begins_us // FRAME_US, False
        for tick in range(first, first + 42):
            now_us = round((tick * FRAME_US + phase_us) * (1 + drift_ppm / 1e6))
            if now_us > decided_us and not silenced:
                ring.silence(cut_us)
                silenced = True
            clock.now_us = now_us
            due_us = popped(ring)
            if silenced and due_us is not None:
                assert due_us < cut_us
                assert now_us - decided_us <= FRAME_US
        assert ring.waiting() == 0
        begins_us = (first + 47) * FRAME_US


def test_a_silence_never_makes_a_chunk_sound_twice_whatever_the_callback_takes_meanwhile() -> None:
    ring, _ = speaker()
    taken: list[int] = []
    stop = threading.Event()

    def device() -> None:
        while not stop.is_set():
            due_us = popped(ring)
            if due_us is not None:
                taken.append(due_us)

    thread = threading.Thread(target=device)
    thread.start()
    for i in range(3_000):
        for k in range(3):
            due_us = -1_000_000_000 + (i * 3 + k)
            ring.push(DueBlock(due_us + 10**9, 1, 0, False, (i * 3 + k).to_bytes(8, "little")))
        ring.silence(10**12)
    stop.set()
    thread.join()
    assert len(taken) == len(set(taken))


def test_a_full_microphone_ring_drops_the_oldest_and_the_numbers_show_it() -> None:
    ring = MicRing(3, lambda: 0, lambda: True)
    for value in range(5):
        ring.heard(bytes([value]), False)
    numbers = []
    while (block := ring.take()) is not None:
        numbers.append(block.number)
    assert numbers == [2, 3, 4]


def test_a_device_without_a_loop_is_told_to_stop() -> None:
    ring = MicRing(3, lambda: 0, lambda: False)
    assert ring.heard(b"", False) is False
