"""The worker process of Piper, and the only module that imports it. `flowkit.providers.worker.parent` runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowkit.providers.worker.child import SpeechPiece, serve


class PiperVoice:
    """A loaded voice.

    `setup` has the keys `voice` (path of the .onnx file), `length_scale` and `noise_scale` (relative to the voice's own
    values) and `threads` (0: the library chooses).
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        import onnxruntime
        import piper
        from piper.config import PiperConfig

        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = setup["threads"]
        session.enable_cpu_mem_arena = False  # measured: 50 MB less, and not slower
        config = PiperConfig.from_dict(json.loads(Path(setup["voice"] + ".json").read_text(encoding="utf-8")))
        model = onnxruntime.InferenceSession(setup["voice"], session, providers=["CPUExecutionProvider"])
        self._voice = piper.PiperVoice(config=config, session=model)
        # Each voice has scales of its own.
        self._synthesis = piper.SynthesisConfig(
            length_scale=config.length_scale * setup["length_scale"],
            noise_scale=config.noise_scale * setup["noise_scale"],
            noise_w_scale=config.noise_w_scale * setup["noise_scale"],
        )
        self.rate_hz: int = config.sample_rate
        for _ in self.speak("Hello there."):
            pass

    def speak(self, text: str) -> Iterator[SpeechPiece]:
        """Synthesize `text`. Yields the audio of each sentence; the last one comes with the length of the whole
        text."""
        # Counted first, because the last sentence carries the length of all.
        sentences = sum(1 for phonemes in self._voice.phonemize(text) if phonemes)
        total = 0
        for number, chunk in enumerate(self._voice.synthesize(text, self._synthesis), 1):
            pcm: bytes = chunk.audio_int16_bytes
            total += len(pcm) // 2
            yield SpeechPiece(pcm, total if number == sentences else 0)


if __name__ == "__main__":
    sys.exit(serve(PiperVoice))
