"""Makes recordings of turns with pauses inside phrases: python tests/turns/make_set.py OUT [--half open|aside] [--language en]

Each answer of ``dialogues`` is synthesized whole. At each bar it is cut, where the word before ends, and silence is put
in. So the melody goes on over the pause, as it does when a speaker looks for the next word. Where the word ends is found by
aligning the whole with a synthesis of its beginning (dynamic time warping). Half of the answers are kept aside: every
other one. A label (JSON) lies beside each recording.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.messages import Audio, Message, Speak
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.models import opened
from flowkit.providers.nanotts.tts import NanoTts
from flowkit.providers.piper.tts import Piper
from tests.turns.dialogues import dialogues

RATE = 16_000
HOP = 160
SHORTEST = 2_400
"""No part of an answer is shorter, in samples."""
LEAD_S, TRAIL_S = 0.6, 2.5
PAUSES_MS = (200, 300, 400, 500, 600, 700, 800, 900)
"""As in the set without melody, so that both say the same of silence alone."""
NOISES = ((None, 60), ("pink", 20), ("babble", 20), ("pink", 10))
VOICES: dict[str, list[tuple[str, type[Provider], dict[str, Any]]]] = {
    "en": [("joe", Piper, {"variation": 0.0}), ("pico", NanoTts, {"voice": "en-GB", "pitch": 0.9})],
    "de": [("pico", NanoTts, {"voice": "de-DE"})],
    "es": [("pico", NanoTts, {"voice": "es-ES"})],
    "fr": [("pico", NanoTts, {"voice": "fr-FR"})],
}


async def synthesized(voice: Provider, text: str) -> np.ndarray:
    """The text's samples without the silence around them, float, shape (n,)."""
    parts: list[Audio] = []

    async def emit(item: Message) -> None:
        if isinstance(item, Audio):
            parts.append(item)

    async def nothing() -> Any:
        return
        yield

    await voice.call(Speak(0, text), nothing(), emit)
    sound = np.frombuffer(b"".join(part.pcm for part in parts), "<i2").astype(float) / 32_768
    sound = sound if parts[0].rate_hz == RATE else soxr.resample(sound, parts[0].rate_hz, RATE)
    loud = np.flatnonzero(np.convolve(np.abs(sound), np.ones(160) / 160, "same") > 0.004)
    return sound[loud[0] : loud[-1] + 1]


def features(sound: np.ndarray) -> np.ndarray:
    """Log energies in 24 bands every 10 ms, shape (n, 24)."""
    padded = np.pad(sound, (0, 400))
    at = np.arange(0, len(sound), HOP)[:, None] + np.arange(400)
    power = np.abs(np.fft.rfft(padded[at] * np.hanning(400), axis=1)) ** 2
    edges = np.unique(np.geomspace(2, 200, 25).astype(int))
    bands = np.stack([power[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)
    return np.log(bands + 1e-4)


def boundary(whole: np.ndarray, beginning: np.ndarray, after: int) -> int:
    """The sample of `whole`, behind `after`, at which the words of `beginning` end: the quietest moment near the end of the
    alignment."""
    a, b = features(beginning), features(whole)
    row = [0.0] + [np.inf] * len(b)
    for costs in np.sqrt(((a[:, None] - b[None]) ** 2).mean(axis=2)).tolist():
        before, row = row, [np.inf]
        for j, cost in enumerate(costs):
            row.append(cost + min(before[j], before[j + 1], row[j]))
    ends = np.array(row[1:]) / (len(a) + np.arange(1, len(b) + 1))
    at = max(int(np.argmin(ends)) * HOP, after)
    levels = np.convolve(whole**2, np.ones(HOP) / HOP, "same")
    first = max(after, at - 1_000)
    return first + int(np.argmin(levels[first : at + 1_600]))


def faded(sound: np.ndarray) -> np.ndarray:
    ramp = np.minimum(1, np.arange(len(sound)) / 128)
    return sound * ramp * ramp[::-1]


def noise(kind: str | None, length: int, dice: np.random.Generator, babble: np.ndarray) -> np.ndarray:
    if kind == "babble":
        sound = sum(np.roll(np.resize(babble, length), int(dice.integers(len(babble)))) for _ in range(6))
    else:
        spectrum = np.fft.rfft(dice.standard_normal(length))
        sound = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), length)
    return sound / np.std(sound)


def parts_of(said: str) -> list[str]:
    return [part.strip() for part in re.split(r"\|+", said)]


async def recorded(voice: Provider, said: str, dice: random.Random) -> tuple[list[np.ndarray], list[float]]:
    """The sound in pieces, and the pauses between them in seconds."""
    parts = parts_of(said)
    whole = await synthesized(voice, " ".join(parts))
    cuts = [0]
    for place in range(1, len(parts)):
        beginning = await synthesized(voice, " ".join(parts[:place]))
        cuts.append(boundary(whole, beginning, cuts[-1] + SHORTEST))
    pieces = [faded(whole[a:b]) for a, b in zip(cuts, [*cuts[1:], len(whole)], strict=True)]
    return pieces, [dice.choice(PAUSES_MS) / 1000 for _ in parts[1:]]


def mixed(pieces: list[np.ndarray], pauses: list[float]) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The sound with its pauses, and where each piece is in it, in seconds."""
    sound, spans = [np.zeros(int(LEAD_S * RATE))], []
    for piece, pause in zip(pieces, [*pauses, TRAIL_S], strict=True):
        begins = sum(map(len, sound))
        level = np.convolve(np.abs(piece), np.ones(160) / 160, "same")
        audible = np.flatnonzero(level > 0.03 * level.max())
        spans.append(((begins + audible[0]) / RATE, (begins + audible[-1] + 1) / RATE))
        sound += [piece, np.zeros(int(pause * RATE))]
    return np.concatenate(sound), spans


async def make(out: Path, language: str, half: str) -> int:
    made = 0
    around = Surroundings(RATE, 20_000, lambda: 0, lambda line: None)
    lines = [
        line for number, line in enumerate(dialogues(language)) if half == "all" or number % 2 == (half == "aside")
    ]
    voices = VOICES[language]
    for turn, (name, cls, options) in enumerate(voices):
        async with opened(cls, cls.Options.model_validate(options), around) as voice:
            babble = np.concatenate([await synthesized(voice, said.replace("|", "")) for _, said in lines[:4]])
            # The voices take turns.
            for asked, said in lines[turn :: len(voices)]:
                dice = random.Random(f"{name} {said}")
                pieces, pauses = await recorded(voice, said, dice)
                sound, spans = mixed(pieces, pauses)
                kind, snr = dice.choice(NOISES)
                sound *= 0.12 / np.sqrt(np.mean(np.concatenate(pieces) ** 2))
                hiss = noise(kind, len(sound), np.random.default_rng(dice.getrandbits(32)), babble)
                sound = np.clip(sound + hiss * 0.12 * 10 ** (-snr / 20), -1, 1)
                label = label_of(asked, said, spans, language) | {"voice": name, "noise": kind, "snr_db": snr}
                write(out / f"{language}-{made:03d}-{name}", sound, label)
                made += 1
    return made


def label_of(asked: str, said: str, spans: list[tuple[float, float]], language: str) -> dict[str, Any]:
    pauses = [[round(a[1], 3), round(b[0], 3)] for a, b in pairwise(spans)]
    kinds = ["sentence" if bar == "||" else "phrase" for bar in re.findall(r"\|+", said)]
    turn = {"begins": round(spans[0][0], 3), "ends": round(spans[-1][1], 3), "pauses": pauses, "kinds": kinds}
    return {"language": language, "turns": [{**turn, "asked": asked, "parts": parts_of(said)}]}


def write(path: Path, sound: np.ndarray, label: dict[str, Any]) -> None:
    with wave.open(f"{path}.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32_767).astype("<i2").tobytes())
    Path(f"{path}.json").write_text(json.dumps(label, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make labelled recordings of turns with pauses inside phrases.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--half", choices=("open", "aside", "all"), default="open")
    parser.add_argument("--language", choices=tuple(VOICES), default="en")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"{trio.run(make, given.out, given.language, given.half)} recordings in {given.out}")
