from pathlib import Path

import pytest
import trio

from flowkit.errors import ProviderError
from flowkit.messages import Audio, EndOfUtterance, Final, Speak, SpeechStarted, Transcribe
from flowkit.providers.models import opened
from flowkit.providers.moonshine.asr import Moonshine
from flowkit.providers.piper.tts import Piper
from tests.providers.support import FakeSession, answer, frames, installed

pytestmark = installed(Piper)


def resampled(heard: list[Audio]) -> bytes:
    import numpy as np
    import soxr

    sound = np.frombuffer(b"".join(item.pcm for item in heard), "<i2")
    return soxr.resample(sound, heard[0].rate_hz, 16_000).astype("<i2").tobytes()


@installed(Moonshine)
def test_what_it_says_can_be_understood() -> None:
    """All checks use one loaded voice and one loaded ASR."""

    async def main() -> None:
        around = FakeSession().around()
        async with (
            opened(Piper, Piper.Options(variation=0), around) as voice,
            opened(Moonshine, Moonshine.Options(), around) as ear,
        ):
            heard = (await answer(voice, Speak(2, "What is the capital of France?"))).of(Audio)
            in_pieces_without_a_gap(heard)
            assert await understood(ear, heard) == "what is the capital of france"
            cut = await answer(voice, Speak(3, "This is long, and nobody wants it. Nor that."), enough=bool)
            assert len(cut.items) == 1
            after = (await answer(voice, Speak(4, "Tell me a story about a dog."))).of(Audio)
            assert {item.clause for item in after} == {4}
            assert await understood(ear, after) == "tell me a story about a dog"

    def in_pieces_without_a_gap(heard: list[Audio]) -> None:
        samples = [item.samples for item in heard]
        assert max(samples) <= heard[0].rate_hz // 10
        assert [item.first_sample for item in heard] == [sum(samples[:i]) for i in range(len(samples))]
        assert {(item.clause, item.total) for item in heard} == {(2, sum(samples))}

    async def understood(ear: Moonshine, heard: list[Audio]) -> str:
        quiet = bytes(2 * 8_000)
        fed = frames(quiet + resampled(heard) + quiet)
        script = [SpeechStarted(25), *fed, EndOfUtterance(0, len(fed) - 26)]
        return (await answer(ear, Transcribe(), script)).of(Final)[0].text.casefold().strip(" .,?")

    trio.run(main)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"there is no .*voice\.onnx$"),
        ({"voice.onnx": "x"}, r"there is no .*voice\.onnx\.json"),
        ({"voice.onnx": "x", "voice.onnx.json": "{"}, "cannot load the voice"),
    ],
)
def test_a_voice_that_cannot_be_used(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    async def main() -> None:
        async with opened(Piper, Piper.Options(voice=tmp_path / "voice.onnx"), FakeSession().around()):
            raise AssertionError("must not become ready")

    with pytest.raises(ProviderError, match=said):
        trio.run(main)


def test_what_it_would_take_for_phonemes_is_said() -> None:
    async def main(markup: bool, *texts: str) -> list[int]:
        async with opened(Piper, Piper.Options(variation=0, markup=markup), FakeSession().around()) as voice:
            sounds = [(await answer(voice, Speak(index, text))).of(Audio) for index, text in enumerate(texts)]
        return [sum(item.samples for item in sound) for sound in sounds]

    plainly, marked, nul = trio.run(main, False, "The answer is 42.", "The answer is [[42]].", "The answer\0is 42.")
    assert abs(marked - plainly) < plainly / 4
    assert abs(nul - plainly) < plainly / 4
    (swallowed,) = trio.run(main, True, "The answer is [[42]].")
    assert swallowed < plainly * 3 / 4
