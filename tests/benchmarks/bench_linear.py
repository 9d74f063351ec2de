"""Work in proportion to input: how much more time and memory it takes when a text, a pipeline, a sound or a trace doubles.

Texts are made of one piece again and again, and are fed to the chunker whole and a character at a time; so are pipelines of many
stages, tests or keys, recordings of noise and of silence, and traces of many turns. `growth`: the processor's time for the longest
input over that for one half as long, the smaller of two attempts; about 2 where work grows in proportion, 4 where with the square.
`memory`: the same for the most memory in use meanwhile. Prints JSON; fails if anything grows more than `MOST` times.
"""

from __future__ import annotations

import gc
import json
import platform
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.chunker import Chunker, Rules
from flowkit.config import read
from flowkit.plan import vet
from flowkit.providers.sound.wav_read import read_recording
from flowkit.replay.rerun import exactly
from flowkit.replay.simulate import simulate
from flowkit.report.page import of_trace, page
from flowkit.stages.repeats import Repeats
from flowkit.stages.unspoken import SpokenText
from flowkit.trace.reader import read_trace
from flowkit.words import sounded, spoken_until, words
from tests.benchmarks.hour import record_hour
from tests.config.test_growth import GROWING

LENGTH = 16_000
"""Characters of the longest text."""
STAGES, SECONDS, TURNS = 600, 240, 40
"""Repetitions of what a pipeline holds, seconds of the longest sound, turns of the longest trace."""
RATE_HZ = 16_000
MOST = 3.0
PIECES = {
    "prose": "The capital of France is Paris, and it is old. ",
    "words without a mark": "word ",
    "one word": "a",
    "newlines": "\n",
    "newlines and spaces": "\n ",
    "spaces": " ",
    "tabs": "\t",
    "full stops": ".",
    "spaced full stops": " .",
    "exclamation marks": "!",
    "commas": ",",
    "dashes": " - ",
    "digits": "1",
    "numbers": "3.14 ",
    "initials": "A. ",
    "list markers": "1.\n",
    "bullets": "- \n",
    "opening brackets": "(",
    "brackets": "()",
    "quotes": '"',
    "opening quotes": "«",
    "backticks": "`",
    "open fence": "```\n",
    "tildes": "~",
    "tags": "<",
    "links": "[a](",
    "braces": "{",
    "stars": "*",
    "tables": "|-",
    "headings": "# ",
    "emoji": "👍",
    "flags": "🇩🇪",
    "joined emoji": "👩\u200d",
    "combining marks": "\u0301",
    "joiners": "\u200d",
    "smileys": ":-) ",
    "urls": "http://",
    "ideographs": "今日",
    "wide marks": "「。",
    "thai": "สวัสดี",
    "arabic": "مرحبا ",
    "thoughts": "<think>",
    "half a thought": "<thin",
    "NUL": "\0",
}


def whole(text: str) -> None:
    chunker = Chunker()
    chunker.feed(text)
    chunker.flush()


def by_character(text: str) -> None:
    chunker = Chunker()
    for char in text:
        chunker.feed(char)
        chunker.pending()
        chunker.likely()
    chunker.flush()


def stalling(text: str) -> None:
    chunker = Chunker(Rules(max_tokens=100))
    for at in range(0, len(text), 50):
        chunker.feed(text[at : at + 50])
        chunker.stall()
    chunker.flush()


def thinking(text: str) -> None:
    reply = SpokenText()
    for char in text:
        reply.feed(char)
    reply.end()


def repeating(text: str) -> None:
    repeats = Repeats(text, resumes=True)
    for char in text:
        repeats.feed(char)


def counting(text: str) -> None:
    found = words(text)
    sounded(text, 0.9)
    spoken_until(text, [text[word.start : word.end] for word in found])


WORK: dict[str, Callable[[str], None]] = {
    "whole": whole,
    "by_character": by_character,
    "stalling": stalling,
    "thoughts": thinking,
    "repeats": repeating,
    "words": counting,
}


# -- files -------------------------------------------------------------------------------------------------------------


def judged(text: str) -> None:
    vet(read("x.yaml", text=text), installed=False)


def sound(folder: Path, form: str, loud: bool) -> Callable[[int], Path]:
    """Writes a recording of so many seconds."""

    def written(seconds: int) -> Path:
        path = folder / f"{form}-{loud}-{seconds}.{form}"
        noise = np.random.default_rng(1).integers(-3_000, 3_000, RATE_HZ * seconds, np.int16)
        soundfile.write(path, noise if loud else noise * 0, RATE_HZ)
        return path

    return written


def trace(folder: Path) -> Callable[[int], Path]:
    """Writes a trace of so many turns."""

    def written(turns: int) -> Path:
        path = folder / f"{turns}.jsonl"
        if not path.exists():
            record_hour(path, turns)
        return path

    return written


def files(folder: Path) -> Iterator[tuple[str, str, Callable[[Any], object], Callable[[int], Any], int]]:
    """What is read, how, by what, how it is made, and the longest."""
    for name, make in GROWING.items():
        yield f"pipelines: {name}", "check", judged, make, STAGES
    for form in ("wav", "flac"):
        for loud in (True, False):
            name = f"sounds: {'noise' if loud else 'silence'} as {form}"
            yield name, "read", lambda path: read_recording(path, 2 * RATE_HZ), sound(folder, form, loud), SECONDS
    turns = trace(folder)
    for how, work in (
        ("read", lambda path: read_trace(path).rows()),
        ("replay exactly", exactly),
        ("simulate", simulate),
        ("report", lambda path: page([of_trace(read_trace(path))])),
    ):
        yield "traces", how, work, turns, TURNS


# -- measuring ---------------------------------------------------------------------------------------------------------


def took_ms(work: Callable[[Any], object], given: Any) -> float:
    gc.collect()
    gc.disable()  # it looks through everything now and then, which would make steps
    began = time.process_time()
    work(given)
    took_s = time.process_time() - began
    gc.enable()
    return took_s * 1000


def held_kb(work: Callable[[Any], object], given: Any) -> float:
    """The most memory that was in use, beyond what was before."""
    gc.collect()
    tracemalloc.start()
    work(given)
    most = tracemalloc.get_traced_memory()[1] / 1000
    tracemalloc.stop()
    return most


def measured(work: Callable[[Any], object], half: Any, whole: Any) -> dict[str, float]:
    """Milliseconds and kilobytes of the longest input, and how much more that is than of half of it."""
    halves, wholes = zip(*((took_ms(work, half), took_ms(work, whole)) for _ in range(2)), strict=True)
    half_kb, whole_kb = held_kb(work, half), held_kb(work, whole)
    return {
        "ms": round(min(wholes), 1),
        "growth": round(min(wholes) / max(min(halves), 0.5), 2),
        "kb": round(whole_kb),
        "memory": round(whole_kb / max(half_kb, 500), 2),
    }


def main() -> int:
    gc.freeze()  # what was imported is not looked through again and again
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name, piece in PIECES.items():
        text = (piece * LENGTH)[:LENGTH]
        figures[name] = {how: measured(work, text[: LENGTH // 2], text) for how, work in WORK.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, how, work, make, most in files(Path(folder)):
            figures.setdefault(name, {})[how] = measured(work, make(most // 2), make(most))
    steep = {
        f"{name}, {how}, {what}": figure[what]
        for name, row in figures.items()
        for how, figure in row.items()
        for what in ("growth", "memory")
        if figure[what] > MOST
    }
    print(
        json.dumps(
            {"python": platform.python_version(), "characters": LENGTH, "figures": figures, "steep": steep}, indent=1
        )
    )
    return 1 if steep else 0


if __name__ == "__main__":
    sys.exit(main())
