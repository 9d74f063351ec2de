"""A TTS without a model, for tests of the worker process. The text to speak decides what it does.

- `long`: yields a hundred parts, each after the last one has been written.
- `fail` raises, `die` ends the process, `print` writes to standard output, `garbage` sends a malformed frame.
- `ponder`: answers after a second of work.
- `mute`: yields no audio.
- `slow ...`: speaks the rest a hundred letters at a time, with a pause after each part.
- Any other text: one sample per letter, whose value is the letter.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowkit.providers.worker.child import SpeechPiece, serve


class ToyVoice:
    rate_hz = 1_000

    def __init__(self, setup: dict[str, Any]) -> None:
        if setup.get("broken"):
            raise ValueError("there is no such voice")

    def speak(self, text: str) -> Iterator[SpeechPiece]:
        if text == "long":
            yield from (SpeechPiece(bytes(2 * 100), 0) for _ in range(100))
        elif text == "fail":
            raise ValueError("cannot say that")
        elif text == "die":
            yield SpeechPiece(bytes(2 * 100), 0)
            print("the voice broke", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGABRT)
        elif text == "print":
            print("libraries chatter", flush=True)
            yield SpeechPiece(b"\1\0", 1)
        elif text == "garbage":
            os.write(3, b"\xff" * 64)  # the pipe to the parent, as worker_child duplicates it first
            yield SpeechPiece(b"\1\0", 1)
        elif text == "mute":
            return
        elif text == "ponder":
            threading.Event().wait(1.0)
            yield SpeechPiece(_samples("p"), 1)
        elif text.startswith("slow "):
            letters = text.removeprefix("slow ")
            for place in range(0, len(letters), 100):
                yield SpeechPiece(_samples(letters[place : place + 100]), 0)
                threading.Event().wait(0.05)
        else:
            yield SpeechPiece(_samples(text), len(text))


def _samples(text: str) -> bytes:
    return np.frombuffer(text.encode(), np.uint8).astype("<i2").tobytes()


if __name__ == "__main__":
    sys.exit(serve(ToyVoice))
