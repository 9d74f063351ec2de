"""A virtual sound card: a PulseAudio server of the test's own, with a microphone that can be spoken into and a speaker
that can be recorded. No root rights, no D-Bus, no real hardware; everything lies in one temporary folder.

    speak.wav -> paplay -> micfeed -> (mic) -> flowkit -> (speaker) -> parec -> heard.wav
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("pulseaudio", "pulseaudio-utils", "libasound2-plugins", "libportaudio2")
PROGRAMS = ("pulseaudio", "paplay", "parec", "pactl")
RATE_HZ = 48_000
_ASOUNDRC = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"
_MODULES = (
    "module-native-protocol-unix",
    f"module-null-sink sink_name=speaker rate={RATE_HZ} channels=1",
    f"module-null-sink sink_name=micfeed rate={RATE_HZ} channels=1",
    "module-remap-source source_name=mic master=micfeed.monitor channels=1",
)


def why_not() -> str:
    """Why there cannot be a virtual card here; empty if there can. Installs Debian packages if it is allowed to."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if not lacking and _portaudio():
        return ""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return f"no virtual sound card: {', '.join(lacking) or 'PortAudio'} missing, and no right to install it"
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"no virtual sound card: {' '.join(command[:2])} failed: {last}"
    return "" if _portaudio() else "no virtual sound card: PortAudio is still missing after its installation"


def _portaudio() -> bool:
    from ctypes.util import find_library

    return find_library("portaudio") is not None


@dataclass(slots=True)
class Card:
    """A running card. `environ` is the environment for a program that uses it."""

    environ: dict[str, str]
    folder: Path
    server: subprocess.Popen[bytes] | None = None
    helpers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        loads = [part for module in _MODULES for part in ("-L", module)]
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", *loads]
        with (self.folder / "pulse.log").open("ab") as log:
            self.server = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self._answers():
            if time.monotonic() > deadline or self.server.poll() is not None:
                raise RuntimeError((self.folder / "pulse.log").read_text())
            time.sleep(0.05)  # there is nothing to wait on but the socket
        self.pactl("set-default-sink", "speaker")
        self.pactl("set-default-source", "mic")
        self._keep_warm()

    def stop(self) -> None:
        """End all processes of this card, by their ids."""
        for process in (*self.helpers, self.server):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.helpers.clear()
        self.server = None

    def say(self, wav: Path) -> subprocess.Popen[bytes]:
        """Play a file into the microphone. The process ends with the last sample."""
        return self._run(["paplay", "--device=micfeed", "--latency-msec=20", str(wav)])

    def record(self, wav: Path) -> subprocess.Popen[bytes]:
        """Record the speaker until the process is terminated."""
        options = [f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--latency-msec=20"]
        return self._run(["parec", "--device=speaker.monitor", *options, "--file-format=wav", str(wav)])

    def pactl(self, *arguments: str) -> str:
        """Send a command to the server. Returns its answer."""
        command = ["pactl", *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True, timeout=10).stdout

    def _answers(self) -> bool:
        return subprocess.run(["pactl", "info"], env=self.environ, capture_output=True, check=False).returncode == 0

    def _keep_warm(self) -> None:
        """A cold null sink stalls for up to 2 s before its first audio. A silent client keeps both sinks awake."""
        raw = [f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--latency-msec=20"]
        for sink in ("speaker", "micfeed"):
            zeros = ["pacat", "--playback", f"--device={sink}", *raw, "/dev/zero"]
            self._run(zeros)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=self.environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.helpers.append(process)
        return process


@contextmanager
def virtual_card(folder: Path) -> Iterator[Card]:
    """A card in `folder`. All its processes have ended after the block."""
    home = folder / "home"
    runtime = folder / "run"
    home.mkdir(parents=True)
    runtime.mkdir(mode=0o700)
    (home / ".asoundrc").write_text(_ASOUNDRC)
    environ = os.environ | {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "PULSE_RUNTIME_PATH": str(runtime)}
    environ.pop("PULSE_SERVER", None)
    environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
    card = Card(environ, folder)
    try:
        card.start()
        yield card
    finally:
        card.stop()
