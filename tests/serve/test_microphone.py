"""A client's frames have indexes that follow the session's clock, and times in the client's own sound do not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowkit.figures.live import LiveFigures
from flowkit.serve.microphone import PAUSE_US, Microphone
from tests.serve.support import HeapClient, S, silence, tone

FRAME = 640


def mic() -> Microphone:
    return Microphone(16_000, 20_000)


def test_frames_are_numbered_from_the_time_at_which_the_first_sound_came() -> None:
    made = mic()
    (first,) = made.hear(bytes(5 * FRAME), 3 * S)
    assert (first.index, first.count) == (145, 5)
    assert made.ms(145) == 0


def test_what_the_network_delays_stays_where_it_was_said() -> None:
    made = mic()
    made.hear(bytes(5 * FRAME), 100_000)
    assert made.hear(bytes(5 * FRAME), 200_000 + PAUSE_US)[0].index == 5
    assert made.hear(bytes(5 * FRAME), 300_000 + PAUSE_US)[0].index == 10


def test_a_pause_leaves_a_gap_that_a_clients_times_do_not_have() -> None:
    made = mic()
    made.hear(bytes(5 * FRAME), 100_000)
    assert made.hear(bytes(5 * FRAME), 10 * S)[0].index == 495
    assert made.hear(bytes(5 * FRAME), 20 * S)[0].index == 995
    assert [made.ms(frame) for frame in (0, 4, 495, 499, 995, 996)] == [0, 80, 100, 180, 200, 220]


@given(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 3_000_000)), max_size=20))
def test_no_sample_is_lost_and_no_index_is_given_twice(pieces: list[tuple[int, int]]) -> None:
    made, now_us, heard, after, sent = mic(), 0, b"", 0, b""
    for number, (size, later_us) in enumerate(pieces):
        now_us += later_us
        piece = bytes([number % 256]) * size
        sent += piece
        for frames in made.hear(piece, now_us):
            assert frames.index >= after
            assert len(frames.pcm) == frames.count * FRAME
            assert made.ms(frames.index) == len(heard) // 32
            heard, after = heard + frames.pcm, frames.index + frames.count
        # What was just said is never later than now, unless it came faster than real time.
        assert after * 20_000 <= max(now_us, len(sent) // 32 * 1000 + now_us)
    assert heard == sent[: len(heard)]
    assert len(sent) - len(heard) < FRAME


def test_the_times_of_a_client_that_sends_sound_only_while_someone_speaks() -> None:
    client = HeapClient()
    client.wait(4 * S)
    for _ in range(2):
        began_us = client.us
        client.say(tone(600_000) + silence(600_000))
        client.wait(11 * S)
    figures = LiveFigures(client.plan)
    figures.rows(client.pump.engine.journal.rows)
    first, second = figures.report().turns
    assert first.ttfa_us is not None is not second.ttfa_us
    # The second answer is no slower, and no faster, than the first: the pause between them is in neither.
    assert abs(first.ttfa_us - second.ttfa_us) <= 20_000
    assert 0 < second.ttfa_us < 1_500_000
    started, again = client.of("input_audio_buffer.speech_started")
    # The scripted VAD judges pieces of 100 ms.
    assert abs(again["audio_start_ms"] - started["audio_start_ms"] - 1_200) <= 100
    assert began_us > 15 * S
