"""The project's own recordings are what their description says."""

import json
import wave

import numpy as np
import pytest

from tests.providers.support import AUDIO, RATE_HZ, recorded

FACTS = json.loads((AUDIO / "audio.json").read_text("utf-8"))["files"]


@pytest.mark.parametrize("name", FACTS)
def test_the_voice_is_where_the_description_says_and_nowhere_else(name: str) -> None:
    with wave.open(str(AUDIO / name)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE_HZ, 2, 1)
    loudness = np.abs(np.frombuffer(recorded(name), "<i2").astype(int))
    for said in FACTS[name]:
        span = slice(said["start_ms"] * RATE_HZ // 1000, said["end_ms"] * RATE_HZ // 1000)
        assert loudness[span].max() > 3_000
        loudness[span] = 0
    assert not loudness.any()


def test_the_second_question_comes_into_the_first_answer() -> None:
    first, second, third = FACTS["conversation.wav"]
    assert 2_250 <= second["start_ms"] - first["end_ms"] <= 3_050
    assert third["start_ms"] - second["end_ms"] >= 5_000
