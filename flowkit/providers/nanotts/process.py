"""NanoTTS's worker process: the only module that imports it. Run by `flowkit.providers.worker.parent`, never imported."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from flowkit.providers.worker.child import SpeechPiece, serve

LONGEST = 200
"""Characters spoken at a time: the engine makes the whole text before it returns, and its own buffers are small."""


class NanoVoice:
    """`setup`: `voice`, `speed`, `pitch`, `volume` of the provider's options."""

    rate_hz = 16_000

    def __init__(self, setup: dict[str, Any]) -> None:
        import py_nanotts

        self._engine = py_nanotts.NanoTTS()
        self._manner = setup
        for _ in self.speak("Hello there."):
            pass

    def speak(self, text: str) -> Iterator[SpeechPiece]:
        """A stretch for each part of at most LONGEST characters."""
        total = 0
        parts = textwrap.wrap(text, LONGEST)
        for number, part in enumerate(parts, 1):
            pcm: bytes = self._engine.speak(part, **self._manner)
            total += len(pcm) // 2
            yield SpeechPiece(pcm, total if number == len(parts) else 0)


if __name__ == "__main__":
    sys.exit(serve(NanoVoice))
