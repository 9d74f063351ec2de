"""How near a prediction comes to what would really have happened.

Random people talk with random providers. Each conversation is recorded with setting A. What setting B would do is
predicted from the recording, and then the same person talks with B. Beside it: what one gets wrong by assuming that
nothing changes.

    TALKS=500 python tests/benchmarks/bench_prediction.py [SETTING...]

Prints JSON. `SEED` is the first seed, `TALKS` the number of conversations.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.replay.simulate import simulate
from tests.fidelity.score import Score
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


def measured(seeds: range, settings: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The figures of each setting."""
    predicted = {name: Score() for name in settings}
    unchanged = {name: Score() for name in settings}
    worst: dict[str, list[int]] = {name: [] for name in settings}
    for seed in seeds:
        before = talk(seed)
        for name, overrides in settings.items():
            true = talk(seed, overrides).report.turns
            if predicted[name].add(simulate(before.trace, overrides=overrides).report.turns, true):
                worst[name].append(seed)
            unchanged[name].add(before.report.turns, true)
    return {
        name: {
            **predicted[name].to_json(),
            "assuming_no_change": unchanged[name].to_json()["structure_wrong_percent"],
            "wrong_seeds": worst[name][:10],
        }
        for name in settings
    }


def main() -> None:
    """Measure the settings that were named, or all."""
    chosen = {name: SETTINGS[name] for name in sys.argv[1:] or SETTINGS}
    seeds = range(first := int(os.environ.get("SEED", "1")), first + int(os.environ.get("TALKS", "100")))
    started = time.process_time()
    found = measured(seeds, chosen)
    print(
        json.dumps(
            {"seeds": [seeds.start, seeds.stop - 1], "settings": found, "cpu_s": time.process_time() - started},
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
