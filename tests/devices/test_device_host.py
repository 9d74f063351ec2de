"""Every failure of a device is one readable DeviceError."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from flowkit.errors import DeviceError, ExitCode
from flowkit.providers.sound import device_host
from flowkit.providers.sound.device_host import Device, PortAudio, Wanted, find

PULSE = Device(0, "pulse", "ALSA", 32, 32, 44_100)
DEFAULT = Device(1, "default", "ALSA", 32, 32, 44_100, ("input", "output"))
SPEAKERS = Device(2, "Built-in Speakers", "ALSA", 0, 2, 48_000)
USB = Device(3, "USB Speakers", "ALSA", 0, 2, 48_000)
ALL = [PULSE, DEFAULT, SPEAKERS, USB]


@pytest.mark.parametrize(
    ("asked", "number"),
    [(None, 1), (0, 0), ("2", 2), ("pulse", 0), ("Built-in Speakers", 2), ("built", 2), ("usb", 3)],
)
def test_a_device_is_found_by_number_name_or_part_of_it(asked: int | str | None, number: int) -> None:
    assert find(Wanted("output", asked), ALL).number == number


@pytest.mark.parametrize(
    ("direction", "asked", "devices", "what", "hint"),
    [
        ("input", None, [], "there is no microphone on this machine", "--input"),
        ("output", None, [], "there is no speaker on this machine", "--output"),
        ("input", None, [SPEAKERS], "there is no microphone", "--input"),
        ("input", "Built-in", ALL, "there is no microphone 'Built-in'", "0 pulse; 1 default"),
        ("output", "headset", ALL, "there is no speaker 'headset'", "3 USB Speakers"),
        ("output", 9, ALL, "there is no speaker 9", "0 pulse"),
        ("output", -1, ALL, "there is no speaker -1", "0 pulse"),
        ("output", "speakers", ALL, "more than one speaker is called 'speakers'", "give a number: 2 Built-in"),
    ],
)
def test_a_device_that_cannot_be_had_is_one_line_and_a_hint(
    direction: str, asked: int | str | None, devices: list[Device], what: str, hint: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        find(Wanted(direction, asked), devices)
    assert what in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code is ExitCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (OSError("PortAudio library not found"), "need the PortAudio library", "apt-get install libportaudio2"),
        (ModuleNotFoundError("No module named 'sounddevice'"), "need the package sounddevice", "pip install"),
    ],
)
def test_a_missing_library_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception, what: str, hint: str
) -> None:
    imports = builtins.__import__

    def fails(name: str, *arguments: Any) -> Any:
        if name == "sounddevice":
            raise error
        return imports(name, *arguments)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(DeviceError, match=what) as caught:
        PortAudio().devices()
    assert hint in caught.value.hint
    assert not device_host.available("output", PortAudio())


class Refused(Exception):
    """Stands for PortAudio's error."""


def claimed(refuses: str, *, at_opening: bool = False) -> SimpleNamespace:
    """Stands for sounddevice, with one device that cannot be opened."""

    def check(**asked: Any) -> None:
        if not at_opening:
            raise Refused(refuses, -9998)

    def opened(**asked: Any) -> None:
        raise Refused(refuses, -9985)

    entry = {
        "index": 0,
        "name": "Claimed",
        "hostapi": 0,
        "max_input_channels": 1,
        "max_output_channels": 2,
        "default_samplerate": 44_100.0,
    }
    return SimpleNamespace(
        PortAudioError=Refused,
        default=SimpleNamespace(device=(0, 0)),
        query_hostapis=lambda: [{"name": "ALSA"}],
        query_devices=lambda: [entry],
        check_input_settings=check,
        check_output_settings=check,
        RawInputStream=opened,
        RawOutputStream=opened,
    )


@pytest.mark.parametrize(
    ("library", "wanted", "what", "hint"),
    [
        (
            claimed("Invalid number of channels"),
            Wanted("input", channels=7),
            "with 7 channels: Invalid number",
            "1 channels",
        ),
        (
            claimed("Invalid sample rate"),
            Wanted("output", rates_hz=(8_000,)),
            "with 8000 Hz: Invalid sample rate",
            "44100 Hz",
        ),
        (
            claimed("Error opening RawInputStream: Device unavailable", at_opening=True),
            Wanted("input"),
            "cannot be opened: Device unavailable",
            "another program",
        ),
    ],
)
def test_a_refusal_names_the_device_and_what_it_has(
    monkeypatch: pytest.MonkeyPatch, library: SimpleNamespace, wanted: Wanted, what: str, hint: str
) -> None:
    monkeypatch.setattr(device_host, "_library", lambda: library)
    with pytest.raises(DeviceError) as caught:
        PortAudio().listen(wanted, lambda pcm, lost: True, lambda: None)
    assert what in str(caught.value)
    assert "0 (Claimed)" in str(caught.value)
    assert hint in caught.value.hint


class Restarted:
    """A library of two streams, which a restart destroys unless they were closed before."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.streams = [LostStream(self.calls), LostStream(self.calls)]

    def _terminate(self) -> None:
        self.calls.append("terminate")

    def _initialize(self) -> None:
        self.calls.append("initialize")


class LostStream:
    active = False

    def __init__(self, calls: list[str]) -> None:
        self.closed = False
        self._calls = calls

    def close(self, ignore_errors: bool) -> None:
        self.closed = True
        self._calls.append("close")


def test_every_lost_stream_is_closed_before_the_library_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Microphone and speaker are lost at once, and the first of them that is looked for restarts the library."""
    library = Restarted()
    monkeypatch.setattr(device_host, "_library", lambda: library)
    audio = PortAudio()
    used = [SimpleNamespace(stream=stream) for stream in library.streams]
    audio._open = list(used)  # type: ignore[arg-type]
    audio.refresh(even_if_used=False)
    assert library.calls == ["close", "close", "terminate", "initialize"]
    assert not any(audio.alive(one) for one in used)  # type: ignore[arg-type]
