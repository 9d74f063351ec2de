"""The agent's own voice: the canceller removes it, the detector finds it, and does not find it where there is none."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from flowkit.config import load
from flowkit.engine import Fate, Row
from flowkit.errors import DeviceError
from flowkit.messages import Interrupt, PlaybackStarted, Resume
from flowkit.plan.resolve import draw
from flowkit.providers.sound import echo
from flowkit.providers.sound.echo import Aec, EchoEar, FarEnd, Likeness, canceller, likeness
from flowkit.runtime.echo import EchoWatch, repeats

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 16_000


def said(name: str, begin_s: float, end_s: float) -> np.ndarray[Any, Any]:
    samples, rate_hz = soundfile.read(ROOT / "pipelines/audio" / name, dtype="int16")
    assert rate_hz == RATE_HZ
    return np.asarray(samples[int(begin_s * RATE_HZ) : int(end_s * RATE_HZ)], float)


STORY = said("conversation.wav", 0.5, 2.25)
SPIDER = said("conversation.wav", 5.05, 6.85)
CAPITAL = said("question.wav", 0.5, 2.02)


def room(sound: np.ndarray[Any, Any], gain_db: float, delay_ms: int, seed: int) -> np.ndarray[Any, Any]:
    """The audio as an echo: late, softer, with a quarter of a second of reverberation."""
    random = np.random.default_rng(seed)
    tail = random.standard_normal(RATE_HZ // 4) * np.exp(-np.arange(RATE_HZ // 4) / (0.05 * RATE_HZ))
    tail[0] = 3
    back = np.convolve(sound, tail / np.sqrt((tail**2).sum()))[: len(sound)] * 10 ** (gain_db / 20)
    return np.concatenate((np.zeros(delay_ms * RATE_HZ // 1000), back))[: len(sound)]


def compared(played: np.ndarray[Any, Any], heard: np.ndarray[Any, Any]) -> Likeness:
    """The clearest of the windows that end in the last half second of the audio."""
    ear, length = EchoEar(RATE_HZ), int(2.2 * RATE_HZ)
    far = np.zeros(length)
    far[: len(played)] = played[:length]
    near = np.zeros(length)
    near[: len(heard)] = heard[:length]
    best = Likeness(0.0, 0)
    for first in range(0, length - 319, 320):
        until_us = (first + 320) * 1_000_000 // RATE_HZ
        ear.played(first * 1_000_000 // RATE_HZ, far[first : first + 320].astype("<i2").tobytes(), RATE_HZ)
        ear.heard(until_us, near[first : first + 320].astype("<i2").tobytes())
        if first > 1.5 * RATE_HZ and first % 3_200 == 0 and (window := ear.window(until_us)) is not None:
            best = max(best, likeness(*window))
    return best


def noise(length: int, level_db: float, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(length) * 3_000 * 10 ** (level_db / 20)


@pytest.mark.parametrize("voice", [STORY, SPIDER, CAPITAL], ids=["story", "spider", "capital"])
@pytest.mark.parametrize(("gain_db", "delay_ms"), [(-6, 60), (-20, 150), (-30, 300)])
def test_a_voice_that_comes_back_is_found_with_its_delay(voice: Any, gain_db: float, delay_ms: int) -> None:
    padded = np.concatenate((voice, np.zeros(RATE_HZ // 2)))
    heard = room(padded, gain_db, delay_ms, seed=1) + noise(len(padded), gain_db - 20, 2)
    found = compared(padded, heard)
    assert found.clear, found
    assert abs(found.later_us / 1000 - delay_ms) <= 20


@pytest.mark.parametrize(
    ("played", "heard"),
    [(STORY, SPIDER), (STORY, CAPITAL), (SPIDER, CAPITAL), (SPIDER, STORY), (CAPITAL, SPIDER)],
    ids=["story-spider", "story-capital", "spider-capital", "spider-story", "capital-spider"],
)
def test_a_user_with_the_very_same_voice_is_no_echo(played: Any, heard: Any) -> None:
    assert not compared(played, heard + noise(len(heard), -40, 3)).clear


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_echo(seed: int) -> None:
    assert not compared(STORY, noise(int(2.2 * RATE_HZ), -6, seed)).clear


def test_too_little_sound_is_not_judged() -> None:
    ear = EchoEar(RATE_HZ)
    ear.played(0, STORY[:3_200].astype("<i2").tobytes(), RATE_HZ)
    ear.heard(200_000, STORY[:3_200].astype("<i2").tobytes())
    assert ear.window(1_500_000) is None


def test_what_was_silenced_was_not_played() -> None:
    ear = EchoEar(RATE_HZ)
    ear.played(0, STORY.astype("<i2").tobytes(), RATE_HZ)
    ear.silenced(0)
    ear.heard(1_700_000, STORY[-8_000:].astype("<i2").tobytes())
    assert ear.window(1_700_000) is None


@pytest.mark.parametrize(
    ("text", "echoes"),
    [
        ("The capital of France is Paris.", True),
        ("capital of France is Paris", True),
        ("The capital of Spain, please", False),
        ("Stop it.", False),
        ("yes", False),
        ("", False),
    ],
)
def test_words_that_the_agent_just_said_are_its_own(text: str, echoes: bool) -> None:
    spoken = deque(["the", "capital", "of", "france", "is", "paris", "it", "lies", "on", "the", "seine"])
    assert repeats(text, spoken) is echoes


@pytest.mark.parametrize(("pauses_ms", "says"), [([400] * 6, 1), ([2_000] * 6, 0), ([400] * 3, 0)])
def test_an_agent_that_is_held_and_resumed_again_and_again_hears_itself(pauses_ms: list[int], says: int) -> None:
    notices: list[str] = []
    plan = draw(
        load("claimed.yaml", text="flowkit: 1\nstages: [{kind: mic, provider: scripted}, {kind: gate}]", environ={})
    ).plan
    watch = EchoWatch(plan, notices.append)
    at_us = 0
    for pause_ms in pauses_ms:
        at_us += pause_ms * 1000
        watch.rows([Row("speaker", 1, "gate", 1, at_us, at_us, 1, 1, Resume(), Fate.HANDLED)])
    assert len(notices) == says
    assert all("headset" in notice and "aec: webrtc" in notice for notice in notices)


@pytest.mark.parametrize(("after_ms", "says"), [([300] * 3, 1), ([300, 3_000, 300, 300], 0), ([300, 300], 0)])
def test_replies_that_are_cut_off_as_soon_as_they_sound_are_cut_off_by_themselves(
    after_ms: list[int], says: int
) -> None:
    notices: list[str] = []
    plan = draw(
        load("claimed.yaml", text="flowkit: 1\nstages: [{kind: mic, provider: scripted}, {kind: gate}]", environ={})
    ).plan
    watch = EchoWatch(plan, notices.append)
    at_us = 0
    for after in after_ms:
        at_us += 5_000_000
        begun = Row("gate", 1, "speaker", 1, at_us, at_us, 1, 1, PlaybackStarted(0, at_us), Fate.HANDLED)
        cut_us = at_us + after * 1000
        stages = ("llm", "chunker", "tts", "speaker")
        cut = [Row(stage, 1, "gate", 1, cut_us, cut_us, 2, 1, Interrupt(), Fate.HANDLED) for stage in stages]
        watch.rows([begun, *cut])
    assert len(notices) == says


def test_the_canceller_takes_the_agents_voice_out() -> None:
    pytest.importorskip("pywebrtc_audio")
    far_end = FarEnd()
    cleaner = canceller(Aec.WEBRTC, far_end, RATE_HZ)
    assert cleaner is not None
    voice = np.tile(np.concatenate((STORY, SPIDER, CAPITAL)), 3)
    back = room(voice, -10, 40, seed=4)
    cleaned = []
    for first in range(0, len(voice) - 319, 320):
        far_end.put(voice[first : first + 320].astype("<i2").tobytes(), RATE_HZ, 1, 320)
        cleaned.append(np.frombuffer(cleaner.clean(back[first : first + 320].astype("<i2").tobytes()), "<i2"))
    half = len(cleaned) // 2
    before = (back[half * 320 : len(cleaned) * 320] ** 2).mean()
    after = (np.concatenate(cleaned[half:]).astype(float) ** 2).mean()
    assert 10 * np.log10(before / (after + 1e-3)) > 20


def test_the_far_end_keeps_in_step_and_is_silent_where_nothing_sounds() -> None:
    far_end = FarEnd()
    far_end.put(None, 48_000, 2, 960)
    assert not far_end.take(320, RATE_HZ).any()
    for _ in range(100):
        far_end.put((b"\x10\x27" * 2) * 960, 48_000, 2, 960)
    assert len(far_end.take(320, RATE_HZ)) == 320
    assert far_end._waiting is not None
    assert len(far_end._waiting) <= RATE_HZ // 5


def test_a_missing_canceller_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    with pytest.raises(DeviceError, match="pywebrtc-audio") as caught:
        canceller(Aec.WEBRTC, FarEnd(), RATE_HZ)
    assert echo.INSTALL in caught.value.hint
