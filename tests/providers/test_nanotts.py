from pathlib import Path

import numpy as np
import pytest
import trio

from flowkit.errors import ProviderError
from flowkit.messages import Audio, Speak
from flowkit.providers.models import opened
from flowkit.providers.nanotts.process import LONGEST
from flowkit.providers.nanotts.tts import NanoTts
from tests.providers.support import FakeSession, answer, installed

pytestmark = installed(NanoTts)


def test_it_speaks_short_and_long() -> None:
    async def main() -> tuple[list[Audio], list[Audio]]:
        async with opened(NanoTts, NanoTts.Options(), FakeSession().around()) as voice:
            short = await answer(voice, Speak(0, "The capital of France is Paris."))
            long = await answer(voice, Speak(1, "The capital of France is Paris. " * 20))
        return short.of(Audio), long.of(Audio)

    short, long = trio.run(main)
    seconds = sum(item.samples for item in short) / short[0].rate_hz
    assert 1.0 < seconds < 4.0
    assert short[-1].total == sum(item.samples for item in short)
    sound = np.abs(np.frombuffer(b"".join(item.pcm for item in short), "<i2").astype(int))
    assert 3_000 < sound.max() < 32_767, "audible, and not overdriven"
    assert len("The capital of France is Paris. " * 20) > 2 * LONGEST
    assert sum(item.samples for item in long) > 15 * sum(item.samples for item in short)


def test_its_own_markup_neither_ends_it_nor_writes_files(tmp_path: Path) -> None:
    """Pico's spell tag ends its process, and its genfile tag writes the audio to a file."""
    file = tmp_path / "said.wav"
    texts = [
        "<spell>Hello</spell> world.",
        f"< genfile file='{file}'>Hello world.</genfile>",
        "<ignore>Hello</ignore> \0",
    ]

    async def main() -> list[int]:
        async with opened(NanoTts, NanoTts.Options(), FakeSession().around()) as voice:
            sounds = [(await answer(voice, Speak(index, text))).of(Audio) for index, text in enumerate(texts)]
            with pytest.raises(ProviderError, match="en-US cannot speak"):
                await answer(voice, Speak(3, "สวัสดี"))
        return [sum(item.samples for item in sound) for sound in sounds]

    assert min(trio.run(main)) > 8_000
    assert not file.exists()
