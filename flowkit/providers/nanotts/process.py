"""The worker process of NanoTTS, and the only module that imports it. `flowkit.providers.worker.parent` runs it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from flowkit.providers.worker.child import SpeechPiece, serve

LONGEST = 200
"""Characters synthesized at a time. The engine returns only when it has synthesized all of a text, and its buffers are
small."""


class NanoVoice:
    """The loaded engine. `setup` holds the options `voice`, `speed`, `pitch` and `volume` of the provider."""

    rate_hz = 16_000

    def __init__(self, setup: dict[str, Any]) -> None:
        import py_nanotts

        self._engine = py_nanotts.NanoTTS()
        self._setup = setup
        for _ in self.speak("Hello there."):
            pass

    def speak(self, text: str) -> Iterator[SpeechPiece]:
        """Synthesize `text`. Yields audio for each part of at most LONGEST characters."""
        total = 0
        parts = textwrap.wrap(text, LONGEST)
        for number, part in enumerate(parts, 1):
            pcm: bytes = self._engine.speak(part, **self._setup)
            total += len(pcm) // 2
            yield SpeechPiece(pcm, total if number == len(parts) else 0)


if __name__ == "__main__":
    sys.exit(serve(NanoVoice))
