"""Piper's worker process: the only module that imports it. Run by `flowkit.providers.worker.parent`, never imported."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowkit.providers.worker.child import SpeechPiece, serve


class PiperVoice:
    """A loaded voice. `setup`: `voice` (path of the .onnx), `length_scale` and `noise_scale` (shares of the voice's own),
    `threads` (0: as the library likes)."""

    def __init__(self, setup: dict[str, Any]) -> None:
        import onnxruntime
        import piper
        from piper.config import PiperConfig

        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = setup["threads"]
        session.enable_cpu_mem_arena = False  # 50 MB less, measured, and no slower
        config = PiperConfig.from_dict(json.loads(Path(setup["voice"] + ".json").read_text(encoding="utf-8")))
        model = onnxruntime.InferenceSession(setup["voice"], session, providers=["CPUExecutionProvider"])
        self._voice = piper.PiperVoice(config=config, session=model)
        # A voice brings its own scales, which are not the same for every voice.
        self._manner = piper.SynthesisConfig(
            length_scale=config.length_scale * setup["length_scale"],
            noise_scale=config.noise_scale * setup["noise_scale"],
            noise_w_scale=config.noise_w_scale * setup["noise_scale"],
        )
        self.rate_hz: int = config.sample_rate
        for _ in self.speak("Hello there."):
            pass

    def speak(self, text: str) -> Iterator[SpeechPiece]:
        """A stretch for each sentence, as soon as it is made. The clause's length is known with its last one."""
        sentences = sum(1 for phonemes in self._voice.phonemize(text) if phonemes)
        total = 0
        for number, chunk in enumerate(self._voice.synthesize(text, self._manner), 1):
            pcm: bytes = chunk.audio_int16_bytes
            total += len(pcm) // 2
            yield SpeechPiece(pcm, total if number == sentences else 0)


if __name__ == "__main__":
    sys.exit(serve(PiperVoice))
