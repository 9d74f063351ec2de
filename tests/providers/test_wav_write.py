import os
import resource
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import OutputError
from flowkit.messages import Play
from flowkit.providers.sound.timeline import Pop, Timeline
from flowkit.providers.sound.wav_write import WavWriter

RATE_HZ = 16_000
FRAME_US = 20_000


def piece(t_us: int, samples: int, clause: int = 0, first: int = 0, rate_hz: int = RATE_HZ, value: int = 1_000) -> Pop:
    return Pop(t_us, 1, clause, first, samples, rate_hz, np.full(samples, value, "<i2").tobytes())


def read(path: Path) -> tuple[int, np.ndarray]:
    """Rate and samples, read with the standard library."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert path.stat().st_size >= 44 + 2 * file.getnframes()
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.fixture
def writer(tmp_path: Path) -> WavWriter:
    opened = WavWriter(tmp_path / "out.wav", None)
    opened.begin()
    return opened


def test_the_file_is_whole_after_every_write(writer: WavWriter) -> None:
    assert read(writer.path) == (16_000, pytest.approx([]))
    for i in range(5):
        writer.write([piece(i * FRAME_US, 320, first=i * 320)], (i + 1) * FRAME_US)
        assert len(read(writer.path)[1]) == (i + 1) * 320


def test_a_samples_place_is_its_time(writer: WavWriter) -> None:
    writer.write([piece(100_000, 320)], 120_000)
    writer.write([], 500_000)
    writer.close(600_000)
    rate_hz, heard = read(writer.path)
    assert rate_hz == RATE_HZ
    assert len(heard) == 9_600, "up to the session's end and no further"
    assert np.flatnonzero(heard).tolist() == list(range(1_600, 1_920))


def test_the_first_voice_decides_the_rate_and_silence_before_it_is_not_lost(writer: WavWriter) -> None:
    writer.write([], 1_000_000)
    writer.write([piece(1_000_000, 441, rate_hz=22_050)], 1_020_000)
    writer.close(1_020_000)
    rate_hz, heard = read(writer.path)
    assert (rate_hz, len(heard), int(np.flatnonzero(heard)[0])) == (22_050, 22_491, 22_050)


def test_a_session_without_a_voice_is_silence(writer: WavWriter) -> None:
    writer.close(1_000_000)
    assert read(writer.path) == (16_000, pytest.approx([]))


def test_rounded_times_make_no_seam_within_a_clause(tmp_path: Path) -> None:
    """At 22,050 Hz a sample has no whole number of microseconds.

    However a clause is split, it is written without gaps.
    """
    timeline, rate_hz = Timeline(), 22_050
    sound = np.arange(1, 20_001).astype("<i2")
    timeline.play(Play(33_333, 0, 0, len(sound), rate_hz, 1, sound.tobytes()))
    writer = WavWriter(tmp_path / "out.wav", None)
    writer.begin()
    for tick in range(1, 60):
        writer.write(timeline.pop_until(tick * FRAME_US), tick * FRAME_US)
    writer.close(60 * FRAME_US)
    heard = read(tmp_path / "out.wav")[1]
    start = int(np.flatnonzero(heard)[0])
    assert np.array_equal(heard[start : start + len(sound)], sound)
    assert not heard[start + len(sound) :].any()


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_a_voice_of_another_rate_is_resampled_without_seams(tmp_path: Path, rate_hz: int) -> None:
    writer = WavWriter(tmp_path / "out.wav", RATE_HZ)
    writer.begin()
    tone = (8_000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)).astype("<i2")
    size = rate_hz // 10
    for i in range(10):
        part = tone[i * size : (i + 1) * size].tobytes()
        writer.write([Pop(i * 100_000, 1, 0, i * size, size, rate_hz, part)], (i + 1) * 100_000)
    writer.close(1_200_000)
    found_hz, heard = read(tmp_path / "out.wav")
    expected = 8_000 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    assert (found_hz, len(heard)) == (RATE_HZ, 19_200)
    assert np.abs(heard[800:15_200] - expected[800:15_200]).max() < 40
    assert np.abs(heard[16_100:]).max() <= 2


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=12))
def test_every_clause_is_where_its_time_says(
    tmp_path_factory: pytest.TempPathFactory, clauses: list[tuple[int, int]]
) -> None:
    """Gaps and lengths in milliseconds."""
    path = tmp_path_factory.mktemp("tape") / "out.wav"
    writer = WavWriter(path, RATE_HZ)
    writer.begin()
    now, expected = 0, np.zeros(0, np.int16)
    for number, (gap, length) in enumerate(clauses, 1):
        at = now + gap
        now = at + length
        writer.write([piece(at * 1_000, length * 16, clause=number, value=number)], now * 1_000)
        expected = np.concatenate([expected, np.zeros(gap * 16, np.int16), np.full(length * 16, number, np.int16)])
    writer.close(now * 1_000)
    assert np.array_equal(read(path)[1], expected)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["no/such/folder/out.wav", "."])
def test_a_place_that_cannot_be_written_is_said_before_the_session(tmp_path: Path, place: str) -> None:
    with pytest.raises(OutputError, match=r"cannot be written: (No such file or directory|Is a directory)"):
        WavWriter(tmp_path / place, None)


def test_a_path_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OutputError, match="is not a regular file"):
            WavWriter(place, None)


def test_an_older_file_is_kept_until_the_session_starts(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"older")
    writer = WavWriter(path, None)
    assert path.read_bytes() == b"older"
    writer.begin()
    assert len(read(path)[1]) == 0


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size` bytes. The kernel then writes a part and fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_what_was_written(writer: WavWriter) -> None:
    writer.write([piece(0, 16_000)], 1_000_000)
    with disk_of(44 + 40_000), pytest.raises(OutputError, match=r"cannot be written: .*; the first 1\.0 s are intact"):
        writer.write([piece(1_000_000, 16_000, first=16_000)], 2_000_000)
    heard = read(writer.path)[1]
    assert len(heard) == 16_000
    assert heard.all()
