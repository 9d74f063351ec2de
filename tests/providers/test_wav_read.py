"""Reading recordings: all formats, and all ways in which a file can be wrong."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.errors import ExitCode, InputError
from flowkit.providers.sound.wav_read import read_recording

RATE_HZ = 16_000
TONE_HZ = 440
SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]


def tone(rate_hz: int, seconds: float, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(rate_hz * seconds)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1)


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(float) / 32_768


@settings(max_examples=60)
@given(
    rate_hz=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
    | st.integers(8_000, 192_000),
    channels=st.integers(1, 8),
    subtype=st.sampled_from(SUBTYPES),
    endian=st.sampled_from(["FILE", "BIG"]),
)
def test_a_tone_of_any_form_is_the_same_tone(
    tmp_path_factory: pytest.TempPathFactory, rate_hz: int, channels: int, subtype: str, endian: str
) -> None:
    path = tmp_path_factory.mktemp("forms") / "tone.wav"
    soundfile.write(path, tone(rate_hz, 0.5, channels), rate_hz, subtype, endian)
    recording = read_recording(path, RATE_HZ)
    heard, expected = samples(recording.pcm), tone(RATE_HZ, 0.5)[:, 0]
    assert abs(len(heard) - len(expected)) <= 2
    middle = slice(1_600, 6_400)  # a resampler's filter has not settled at the ends
    tolerance = 0.02 if subtype in ("PCM_U8", "ULAW", "ALAW") else 0.002
    assert np.abs(heard[middle] - expected[middle]).max() < tolerance
    assert recording.notices == ()


@given(pcm=st.binary(min_size=2, max_size=2_000).map(lambda data: data[: len(data) // 2 * 2]))
def test_what_is_already_right_passes_unchanged(tmp_path_factory: pytest.TempPathFactory, pcm: bytes) -> None:
    path = tmp_path_factory.mktemp("same") / "same.wav"
    soundfile.write(path, np.frombuffer(pcm, "<i2"), RATE_HZ, "PCM_16")
    assert read_recording(path, RATE_HZ).pcm == pcm


def test_a_recording_longer_than_a_block_has_no_seam(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tone(48_000, 4), 48_000, "PCM_16")
    heard = samples(read_recording(tmp_path / "long.wav", RATE_HZ).pcm)
    assert np.abs(heard[1_600:-1_600] - tone(RATE_HZ, 4)[1_600:-1_600, 0]).max() < 0.002


def test_samples_over_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.array([2.0, -2.0, 0.0]), RATE_HZ, "FLOAT")
    assert np.frombuffer(read_recording(tmp_path / "loud.wav", RATE_HZ).pcm, "<i2").tolist() == [32_767, -32_768, 0]


# -- what is wrong -----------------------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    """The error in one line, as the user sees it."""
    with pytest.raises(InputError) as caught:
        read_recording(path, RATE_HZ)
    line = str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def whole(tmp_path: Path, seconds: float = 1.0) -> bytes:
    soundfile.write(tmp_path / "whole.wav", tone(RATE_HZ, seconds), RATE_HZ, "PCM_16")
    return (tmp_path / "whole.wav").read_bytes()


def test_a_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.wav") == "cannot be read: No such file or directory"


def test_a_folder(tmp_path: Path) -> None:
    assert refused(tmp_path) == "is a directory, not a WAV file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.wav", whole(tmp_path))
    path.chmod(0)
    assert refused(path) == "cannot be read: Permission denied"


def test_an_empty_file(tmp_path: Path) -> None:
    assert refused(written(tmp_path / "empty.wav", b"")) == "is empty (0 bytes)"


@pytest.mark.parametrize(
    "content", [b"not a wave at all, just text\n" * 9, b"\0" * 500, b"RIFF\0\0\0\0AVI LIST" + bytes(90)]
)
def test_what_is_not_a_wav(tmp_path: Path, content: bytes) -> None:
    assert "is not a WAV file" in (line := refused(written(tmp_path / "odd.wav", content))) or "truncated" in line


@pytest.mark.parametrize("size", [3, 11, 20, 43])
def test_a_file_that_ends_within_its_header(tmp_path: Path, size: int) -> None:
    line = refused(written(tmp_path / "stub.wav", whole(tmp_path)[:size]))
    assert "truncated before its first sample" in line or "is not a WAV file" in line


def test_a_header_without_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE_HZ, "PCM_16")
    assert refused(tmp_path / "none.wav") == "holds no samples"


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, odd: float) -> None:
    wave = tone(RATE_HZ, 0.1, channels=2)
    wave[70, 1] = odd
    soundfile.write(tmp_path / "nan.wav", wave, RATE_HZ, "FLOAT")
    assert refused(tmp_path / "nan.wav") == "sample 70 is not a number"


@pytest.mark.parametrize("rate_hz", [4_000, 384_000])
def test_a_rate_that_nobody_records_speech_with(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "rate.wav", tone(rate_hz, 0.1), rate_hz, "PCM_16")
    assert refused(tmp_path / "rate.wav") == f"its rate is {rate_hz} Hz; flowkit reads 8000 to 192000 Hz"


def test_a_truncated_file_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    full = whole(tmp_path)
    path = written(tmp_path / "cut.wav", full[: 44 + 8_000])
    recording = read_recording(path, RATE_HZ)
    assert recording.pcm == full[44 : 44 + 8_000]
    assert recording.notices == (f"{path}: is truncated: 0.25 s of 1.00 s are there and are played",)


def test_a_streamed_file_that_never_learned_its_length_is_not_called_short(tmp_path: Path) -> None:
    full = bytearray(whole(tmp_path))
    full[40:44] = struct.pack("<I", 0xFFFFFFFF)
    recording = read_recording(written(tmp_path / "streamed.wav", bytes(full)), RATE_HZ)
    assert (len(recording.pcm), recording.notices) == (32_000, ())


def test_silence_is_noticed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(1_600), RATE_HZ, "PCM_16")
    recording = read_recording(tmp_path / "silent.wav", RATE_HZ)
    assert len(recording.pcm) == 3_200
    assert recording.notices == (f"{tmp_path / 'silent.wav'}: is silent; no speech will be detected",)


def test_what_is_longer_than_two_hours_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "silence.flac"
    soundfile.write(path, np.zeros(2 * 3600 * 8_000 + 1, np.int16), 8_000)
    assert path.stat().st_size < 200_000
    with pytest.raises(InputError, match="is longer than 2 hours"):
        read_recording(path, 16_000)


def test_a_fifo_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not a regular file"):
            read_recording(path, RATE_HZ)
