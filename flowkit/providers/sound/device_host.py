"""Lists and opens the machine's sound devices, through PortAudio.

Every error (no library, no device, a wrong name, a format that the device refuses) is a DeviceError. PortAudio is not
thread-safe, so all calls hold one lock. It sees a new device only after a restart, so ``refresh`` may close open
streams; their users notice it and open them again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from flowkit.clock import US_PER_S, monotonic_us
from flowkit.errors import DeviceError

INSTALL = "pip install 'flowkit-voice[devices]'"
NOUNS = {"input": "microphone", "output": "speaker"}
WITHOUT = {"input": "speak a file instead: --input question.wav", "output": "write a file instead: --output reply.wav"}
WITHOUT_DEVICES = "or without devices: `flowkit run --input question.wav --output out/reply.wav`, or `--text`"
_BYTES = 2
MOST_CHANNELS = 8
"""The most channels to open by default. Sound servers report 32 and more."""


class Device(NamedTuple):
    """A device with PortAudio's number and name. `default` lists the directions (``input``, ``output``) of which it is
    the default."""

    number: int
    name: str
    api: str
    inputs: int
    outputs: int
    rate_hz: int
    default: tuple[str, ...] = ()


class Wanted(NamedTuple):
    """The device and format to open. None stands for the default device, or the device's own format.

    `direction` is ``input`` or ``output``. `rates_hz` are the rates to try, in order, before the device's own.
    """

    direction: str
    device: int | str | None = None
    rates_hz: tuple[int, ...] = ()
    channels: int | None = None
    frame_us: int = 20_000


class Format(NamedTuple):
    """The format of an open stream: 16-bit samples, `channels` interleaved channels, `block` samples per channel and
    callback."""

    name: str
    rate_hz: int
    channels: int
    block: int
    latency_us: int = 0


Heard = Callable[[bytes, bool], bool]
"""Called in a microphone's callback with a block and whether audio was lost before it. Returns False to end the
stream."""
Wants = Callable[[bool], bytes | None]
"""Called in a speaker's callback with whether the device had an underrun. Returns the next block, or None for
silence."""


class Stream(Protocol):
    """An open device."""

    @property
    def format(self) -> Format: ...
    def alive(self) -> bool:
        """Whether the device still runs."""
        ...

    def close(self) -> None: ...


class AudioHost(Protocol):
    """Lists and opens devices. Tests use their own implementation."""

    def now_us(self) -> int:
        """The clock of the callbacks, in microseconds from an arbitrary zero."""
        ...

    def devices(self) -> list[Device]: ...
    def listen(self, wanted: Wanted, heard: Heard, gone: Callable[[], object]) -> Stream: ...
    def sound(self, wanted: Wanted, wants: Wants, gone: Callable[[], object]) -> Stream: ...
    def refresh(self, *, even_if_used: bool) -> None:
        """Look for devices again. Does nothing while streams are open, unless `even_if_used`, which closes them."""
        ...


@dataclass(slots=True, eq=False)
class _Open:
    """An open stream of PortAudio."""

    format: Format
    stream: Any
    host: PortAudio

    def alive(self) -> bool:
        return self.host.alive(self)

    def close(self) -> None:
        self.host.close(self)


class PortAudio:
    """The machine's devices. Use the one instance ``PORTAUDIO``, because PortAudio has one state per process."""

    def __init__(self) -> None:
        # Reentrant, because `refresh` and `_start` call other methods that hold it.
        self._lock = threading.RLock()
        self._open: list[_Open] = []

    def now_us(self) -> int:
        return monotonic_us()

    def devices(self) -> list[Device]:
        """All devices, in PortAudio's order. Raises DeviceError if PortAudio is not installed."""
        with self._lock:
            sd = _library()
            apis = [api["name"] for api in sd.query_hostapis()]
            return [_device(sd, entry, apis) for entry in sd.query_devices()]

    def listen(self, wanted: Wanted, heard: Heard, gone: Callable[[], object]) -> Stream:
        """Open a microphone. PortAudio's thread calls `heard` for each block, and `gone` when the stream ends. Raises
        DeviceError."""

        def callback(data: Any, frames: int, times: Any, status: Any) -> None:
            if not heard(bytes(data), bool(status.input_overflow)):
                raise _library().CallbackStop

        return self._start(wanted, "RawInputStream", callback, gone)

    def sound(self, wanted: Wanted, wants: Wants, gone: Callable[[], object]) -> Stream:
        """Open a speaker. PortAudio's thread calls `wants` for each block, and `gone` when the stream ends. Raises
        DeviceError."""

        def callback(data: Any, frames: int, times: Any, status: Any) -> None:
            block = wants(bool(status.output_underflow))
            # A device that came back may have another format, and a block of another size cannot be written.
            data[:] = bytes(len(data)) if block is None or len(block) != len(data) else block

        return self._start(wanted, "RawOutputStream", callback, gone)

    def refresh(self, *, even_if_used: bool) -> None:
        with self._lock:
            # A lost stream is closed first: it does not survive the restart, and its owner may still ask whether it runs.
            for used in [used for used in self._open if not self.alive(used)]:
                self.close(used)
            if self._open and not even_if_used:
                return
            for used in list(self._open):
                self.close(used)
            sd = _library()
            sd._terminate()
            sd._initialize()

    def alive(self, used: _Open) -> bool:
        """Whether the device still runs. Returns True without asking while another thread uses PortAudio."""
        # Another thread may be opening a device, and the event loop must not wait for that.
        if not self._lock.acquire(blocking=False):
            return True
        try:
            return not used.stream.closed and bool(used.stream.active)
        finally:
            self._lock.release()

    def close(self, used: _Open) -> None:
        """Close a stream. Closing it again does nothing."""
        with self._lock:
            self._open = [other for other in self._open if other is not used]
            # A lost device fails here, and is closed all the same.
            used.stream.close(ignore_errors=True)

    def _start(self, wanted: Wanted, kind: str, callback: Any, gone: Callable[[], object]) -> Stream:
        def finished() -> None:
            gone()

        with self._lock:
            sd = _library()
            device = find(wanted, self.devices())
            channels, rate_hz = _format(sd, wanted, device)
            block = rate_hz * wanted.frame_us // US_PER_S
            formed = {"samplerate": rate_hz, "channels": channels, "blocksize": block, "dtype": "int16"}
            try:
                make = getattr(sd, kind)
                stream = make(
                    device=device.number, latency="low", callback=callback, finished_callback=finished, **formed
                )
                stream.start()
            except sd.PortAudioError as exc:
                raise _refused(wanted, device, exc) from exc
            latency_us = round(stream.latency * US_PER_S)
            used = _Open(Format(device.name, rate_hz, channels, block, latency_us), stream, self)
            self._open.append(used)
            return used


PORTAUDIO: AudioHost = PortAudio()
"""The host for this machine's devices."""


def find(wanted: Wanted, devices: list[Device]) -> Device:
    """Find the wanted device by its number, its name or a unique part of its name; without any of these, the default.

    Raises DeviceError, with the list of devices as its hint.
    """
    noun = NOUNS[wanted.direction]
    fitting = [device for device in devices if _channels(device, wanted.direction)]
    if not fitting:
        raise DeviceError(f"there is no {noun} on this machine", hint=WITHOUT[wanted.direction])
    listed = "; ".join(f"{device.number} {device.name}" for device in fitting)
    if wanted.device is None:
        return next((device for device in fitting if wanted.direction in device.default), fitting[0])
    if isinstance(wanted.device, int) or wanted.device.isdecimal():
        named = [device for device in fitting if device.number == int(wanted.device)]
    else:
        name = wanted.device.casefold()
        # An exact name wins, because it may also be a part of another name.
        named = [device for device in fitting if device.name.casefold() == name]
        named = named or [device for device in fitting if name in device.name.casefold()]
    if not named:
        raise DeviceError(f"there is no {noun} {wanted.device!r}", hint=f"there are: {listed}")
    if len(named) > 1:
        several = "; ".join(f"{device.number} {device.name}" for device in named)
        raise DeviceError(f"more than one {noun} is called {wanted.device!r}", hint=f"give a number: {several}")
    return named[0]


def available(direction: str, host: AudioHost | None = None) -> bool:
    """Whether there is a device for `direction`. False if PortAudio is missing."""
    try:
        return any(_channels(device, direction) for device in (host or PORTAUDIO).devices())
    except DeviceError:
        return False


def _channels(device: Device, direction: str) -> int:
    return device.inputs if direction == "input" else device.outputs


def _library() -> Any:
    """Import sounddevice. The import fails without PortAudio, so it must not be at the top. Raises DeviceError."""
    try:
        import sounddevice
    except ModuleNotFoundError as exc:
        raise DeviceError("sound devices need the package sounddevice", hint=f"{INSTALL}, {WITHOUT_DEVICES}") from exc
    except OSError as exc:
        hint = f"Debian and Ubuntu: apt-get install libportaudio2; Fedora: dnf install portaudio; {WITHOUT_DEVICES}"
        raise DeviceError("sound devices need the PortAudio library, which is not installed", hint=hint) from exc
    return sounddevice


def _device(sd: Any, entry: Any, apis: list[str]) -> Device:
    inputs, outputs = entry["max_input_channels"], entry["max_output_channels"]
    chosen = zip(("input", "output"), sd.default.device, strict=True)
    default = tuple(direction for direction, number in chosen if number == entry["index"])
    rate_hz = int(entry["default_samplerate"])
    return Device(entry["index"], entry["name"], apis[entry["hostapi"]], inputs, outputs, rate_hz, default)


def _format(sd: Any, wanted: Wanted, device: Device) -> tuple[int, int]:
    """The number of channels and the rate to open: the wanted ones, or else mono and the device's own rate. Raises
    DeviceError."""
    most = min(_channels(device, wanted.direction), MOST_CHANNELS)
    # Mono first; some devices open only in stereo or with all channels.
    several = (wanted.channels,) if wanted.channels else tuple(dict.fromkeys((1, min(2, most), most)))
    rates_hz = wanted.rates_hz or (device.rate_hz,)
    refused: Exception | None = None
    for rate_hz in dict.fromkeys((*rates_hz, device.rate_hz)):
        for channels in several:
            try:
                check = sd.check_input_settings if wanted.direction == "input" else sd.check_output_settings
                check(device=device.number, channels=channels, dtype="int16", samplerate=rate_hz)
            except sd.PortAudioError as exc:
                refused = refused or exc
            else:
                return channels, rate_hz
    assert refused is not None
    raise _refused(wanted, device, refused) from refused


def _refused(wanted: Wanted, device: Device, exc: Exception) -> DeviceError:
    """The error for a device that PortAudio cannot open, with PortAudio's message and a hint."""
    said = str(exc.args[0] if exc.args else exc).removeprefix("Error opening RawInputStream: ")
    said = said.removeprefix("Error opening RawOutputStream: ").rstrip(".")
    asked = f"{wanted.channels} channels" if wanted.channels else ", ".join(f"{rate} Hz" for rate in wanted.rates_hz)
    noun = NOUNS[wanted.direction]
    where = f"{noun} {device.number} ({device.name})"
    has = f"it has {_channels(device, wanted.direction)} channels and {device.rate_hz} Hz of its own"
    busy = "another program may be using it" if "unavailable" in said.lower() else has
    return DeviceError(f"{where} cannot be opened{f' with {asked}' if asked else ''}: {said}", hint=busy)
