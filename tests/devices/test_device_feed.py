from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Play
from flowkit.providers.sound.device_cutter import FrameCutter
from flowkit.providers.sound.device_feed import SpeakerFeed
from flowkit.providers.sound.device_host import Format
from flowkit.providers.sound.device_ring import Block, DueBlock


def tone(samples: int, rate_hz: int, first: int = 0) -> bytes:
    times = (np.arange(samples) + first) / rate_hz
    return (8_000 * np.sin(2 * np.pi * 440 * times)).astype("<i2").tobytes()


def format_of(rate_hz: int, channels: int = 1) -> Format:
    return Format("claimed", rate_hz, channels, rate_hz // 50)


def pieces(rate_hz: int, lengths: list[int], at_us: int = 0) -> list[Play]:
    plays, first = [], 0
    for length in lengths:
        due_us = at_us + first * 1_000_000 // rate_hz
        plays.append(Play(due_us, 0, first, length, rate_hz, 1, tone(length, rate_hz, first)))
        first += length
    return plays


def sound(chunks: list[DueBlock], channels: int = 1) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2")[::channels]


@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=30))
def test_pieces_of_any_length_sound_as_one(lengths: list[int]) -> None:
    feed = SpeakerFeed(format_of(16_000))
    chunks = [chunk for play in pieces(16_000, lengths) for chunk in feed.play(play)]
    chunks += feed.end()
    whole = np.frombuffer(tone(sum(lengths), 16_000), "<i2")
    assert np.array_equal(sound(chunks)[: len(whole)], whole)
    assert not sound(chunks)[len(whole) :].any()
    assert [chunk.due_us for chunk in chunks] == [i * 20_000 for i in range(len(chunks))]
    assert [chunk.first for chunk in chunks] == [True, *[False] * (len(chunks) - 1)]


@pytest.mark.parametrize(
    ("voice_hz", "device_hz"), [(22_050, 48_000), (22_050, 44_100), (16_000, 44_100), (48_000, 16_000)]
)
def test_rates_are_converted_without_a_seam(voice_hz: int, device_hz: int) -> None:
    feed = SpeakerFeed(format_of(device_hz, 2))
    chunks = [chunk for play in pieces(voice_hz, [voice_hz // 10] * 10) for chunk in feed.play(play)]
    chunks += feed.end()
    heard = sound(chunks, 2)[: device_hz - device_hz // 10].astype(float)
    wanted = np.frombuffer(tone(device_hz, device_hz), "<i2")[: len(heard)].astype(float)
    middle = slice(device_hz // 20, len(heard))
    assert np.corrcoef(heard[middle], wanted[middle])[0, 1] > 0.9999
    assert abs(len(chunks) * device_hz // 50 - device_hz) <= device_hz // 50


def test_what_the_resampler_holds_back_comes_before_it_is_due() -> None:
    feed = SpeakerFeed(format_of(48_000))
    chunks = feed.play(pieces(22_050, [22_050 // 5])[0])
    while (next_us := feed.next_us()) is not None:
        more = feed.step(next_us)
        assert all(chunk.due_us >= next_us for chunk in more)
        chunks += more
    assert len(chunks) == 10


def test_a_gap_begins_a_new_run() -> None:
    feed = SpeakerFeed(format_of(16_000))
    chunks = feed.play(Play(0, 0, 0, 320, 16_000, 1, tone(320, 16_000)))
    chunks += feed.play(Play(100_000, 1, 0, 320, 16_000, 1, tone(320, 16_000)))
    assert [(chunk.due_us, chunk.clause, chunk.first) for chunk in chunks] == [(0, 0, True), (100_000, 1, True)]


@given(st.integers(0, 300_000))
def test_a_silence_leaves_nothing_that_is_due_later(at_us: int) -> None:
    feed = SpeakerFeed(format_of(48_000))
    made = feed.play(pieces(22_050, [3_333])[0])
    left = feed.silence(at_us)
    assert all(chunk.due_us < at_us for chunk in left)
    assert feed.next_us() is None
    assert not set(made) & set(left)


def test_frames_come_whole_and_numbered_whatever_the_device_gives() -> None:
    device = Format("claimed", 44_100, 2, 882)
    cutter = FrameCutter(device, 16_000, 20_000, 0)
    left = np.frombuffer(tone(44_100, 44_100), "<i2")
    stereo = np.repeat(left, 2).tobytes()
    frames = []
    for number in range(50):
        frames += cutter.cut(Block(number, 0, stereo[number * 3528 : (number + 1) * 3528]))
    assert [index for index, _ in frames] == list(range(len(frames)))
    assert len(frames) >= 48
    assert all(len(pcm) == 640 for _, pcm in frames)
    heard = np.frombuffer(b"".join(pcm for _, pcm in frames), "<i2").astype(float)[1_000:14_000]
    wanted = np.frombuffer(tone(16_000, 16_000), "<i2").astype(float)[1_000:14_000]
    assert np.corrcoef(heard, wanted)[0, 1] > 0.9999


def test_lost_blocks_leave_a_gap_in_the_numbers() -> None:
    cutter = FrameCutter(Format("claimed", 16_000, 1, 320), 16_000, 20_000, 0)
    indexes = [index for number in (0, 1, 2, 7, 8) for index, _ in cutter.cut(Block(number, 0, bytes(640)))]
    assert indexes == [0, 1, 2, 7, 8]
