"""How near a prediction comes to what would really have happened.

Random people talk with random providers. Each conversation is recorded with setting A. What setting B would do is
predicted from the recording, and then the same person talks with B. Beside it: what one gets wrong by assuming that
nothing changes.

    TALKS=500 python tests/benchmarks/bench_prediction.py [SETTING...]

Prints JSON. `SEED` is the first seed, `TALKS` the number of conversations, and `EACH` how many of the settings, in turn, each
conversation is tried with (2; 0: all). `WORLDS` is how many worlds are drawn (20); 0 is quick, and measures the structure alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.replay.predict import WORLDS, predict
from tests.fidelity.score import Admission, Score
from tests.fidelity.world import talk

SETTINGS: dict[str, tuple[str, ...]] = {
    "end 300": ("stages.vad.end=300ms",),
    "end 450": ("stages.vad.end=450ms",),
    "end 600": ("stages.vad.end=600ms",),
    "end 900": ("stages.vad.end=900ms",),
    "start 160": ("stages.vad.start=160ms",),
    "threshold .7": ("stages.vad.threshold=0.7",),
    "speech_for 400": ("stages.vad.speech_for=400ms",),
    "min_words 2": ("stages.gate.min_words=2",),
    "first 12": ("stages.chunker.first.min_tokens=12",),
    "max 10": ("stages.chunker.max_tokens=10",),
    "sentence": ("stages.chunker.mode=sentence",),
    "speculate": ("stages.chunker.speculate_end=true",),
    "tts queue 1": ("stages.tts.queue.max=1",),
    "nothing": ("stages.gate.join_words=201",),
}


def measured(seeds: range, settings: dict[str, tuple[str, ...]], each: int, worlds: int = WORLDS) -> dict[str, Any]:
    """The figures of each setting. Each conversation is tried with `each` of them in turn; 0: with all. Without `worlds`
    nothing is said about ranges."""
    predicted = {name: Score() for name in settings}
    unchanged = {name: Score() for name in settings}
    sure = {name: Admission() for name in settings}
    names = list(settings)
    for seed in seeds:
        before = talk(seed)
        for name in [names[(seed * each + place) % len(names)] for place in range(each or len(names))]:
            overrides = settings[name]
            true, fresh = talk(seed, overrides).report, talk(seed, overrides, fresh=1 if worlds else 0).report
            found = predict(before.trace, overrides=overrides, worlds=worlds, following=worlds > 0).report
            if worlds:
                sure[name].add(seed, found, true, fresh)
            # What is refused is no prediction.
            if found.outlook is not None and not found.outlook.refusal:
                predicted[name].add(found.turns, true.turns)
                unchanged[name].add(before.report.turns, true.turns)
    return {
        name: {
            **predicted[name].to_json(),
            "assuming_no_change": unchanged[name].to_json()["structure_wrong_percent"],
            **sure[name].to_json(),
        }
        for name in settings
        if predicted[name].turns
    } | {"all": _pooled(predicted.values(), sure.values())}


def _pooled(scores: Iterable[Score], sure: Iterable[Admission]) -> dict[str, Any]:
    """The figures over all settings."""
    score, known = Score(), Admission()
    for one in scores:
        score.pool(one)
    for other in sure:
        known.pool(other)
    return {**score.to_json(), **known.to_json()}


def main() -> None:
    """Measure the settings that were named, or all."""
    chosen = {name: SETTINGS[name] for name in sys.argv[1:] or SETTINGS}
    seeds = range(first := int(os.environ.get("SEED", "1")), first + int(os.environ.get("TALKS", "100")))
    started = time.process_time()
    each, worlds = int(os.environ.get("EACH", "2")), int(os.environ.get("WORLDS", str(WORLDS)))
    found = measured(seeds, chosen, each, worlds)
    print(
        json.dumps(
            {"seeds": [seeds.start, seeds.stop - 1], "settings": found, "cpu_s": time.process_time() - started},
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
