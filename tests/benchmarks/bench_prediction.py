"""How near a prediction comes to what would really have happened.

Random people talk with random providers. Each conversation is recorded with setting A. What setting B would do is
predicted from the recording, and then the same person talks with B. Beside it: what one gets wrong by assuming that
nothing changes.

    TALKS=500 python tests/benchmarks/bench_prediction.py [SETTING...]

Prints JSON. `SEED` is the first seed, `TALKS` the number of conversations, and `EACH` how many of the settings, in turn, each
conversation is tried with (2; 0: all). `WORLDS` is how many worlds are drawn (20); 0 is quick, and measures the structure alone.
With `ROWS=FILE` each prediction is written there when it is known, and those that the file has are not made again. So a run of
hours can be stopped at any time. ``draw_prediction.py`` makes the picture and the table from this file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.replay.predict import WORLDS, predict, ranges
from tests.fidelity.score import Admission, Score
from tests.fidelity.world import Talk, talk

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


@dataclass(frozen=True)
class Rerun:
    """A prediction of conversation `seed` with another setting, compared with that conversation."""

    seed: int
    setting: str
    predicted: Score
    unchanged: Score
    """What one gets by assuming that nothing changes."""
    sure: Admission
    ttfa_p50_us: tuple[int | None, int | None, int | None, int | None] | None = None
    """The true one, the predicted one, and both ends of its range. None: refused, or no worlds were drawn."""

    def to_json(self) -> str:
        """A line of the file of rows."""
        return json.dumps(vars(self), default=vars)

    @classmethod
    def of_json(cls, line: str) -> Self:
        """The rerun of a line."""
        told = json.loads(line)
        scores = {name: Score(**told[name]) for name in ("predicted", "unchanged")}
        return cls(**{**told, **scores, "sure": Admission(**told["sure"])})


def reruns(
    seeds: range, settings: dict[str, tuple[str, ...]], each: int, worlds: int = WORLDS, known: Iterable[Rerun] = ()
) -> Iterator[Rerun]:
    """Each conversation with `each` of the settings in turn; 0: with all. Without `worlds` nothing is said about ranges. What
    is `known` is not run again."""
    done = {(one.seed, one.setting) for one in known}
    names = list(settings)
    for seed in seeds:
        chosen = [names[(seed * each + place) % len(names)] for place in range(each or len(names))]
        if left := [name for name in chosen if (seed, name) not in done]:
            before = talk(seed)
            yield from (_rerun(seed, name, settings[name], before, worlds) for name in left)


def _rerun(seed: int, name: str, overrides: tuple[str, ...], before: Talk, worlds: int) -> Rerun:
    true, fresh = talk(seed, overrides).report, talk(seed, overrides, fresh=1 if worlds else 0).report
    found = predict(before.trace, overrides=overrides, worlds=worlds, following=worlds > 0).report
    one = Rerun(seed, name, Score(), Score(), Admission())
    outlook = found.outlook
    if worlds:
        one.sure.add(seed, found, true, fresh)
    # What is refused is no prediction.
    if outlook is None or outlook.refusal:
        return one
    one.predicted.add(found.turns, true.turns)
    one.unchanged.add(before.report.turns, true.turns)
    there, here = ranges([true]).ttfa_p50.low, ranges([found]).ttfa_p50.low
    return replace(one, ttfa_p50_us=(there, here, outlook.this.ttfa_p50.low, outlook.this.ttfa_p50.high))


def measured(found: Iterable[Rerun]) -> dict[str, Any]:
    """The figures of each setting, and of all."""
    by_setting: dict[str, list[Rerun]] = {}
    for one in found:
        by_setting.setdefault(one.setting, []).append(one)
    every = [one for some in by_setting.values() for one in some]
    return {name: _pooled(some) for name, some in {**by_setting, "all": every}.items() if some}


def _pooled(found: Sequence[Rerun]) -> dict[str, Any]:
    predicted, unchanged, sure = Score(), Score(), Admission()
    for one in found:
        predicted.pool(one.predicted)
        unchanged.pool(one.unchanged)
        sure.pool(one.sure)
    no_change = unchanged.to_json()["structure_wrong_percent"]
    return {**predicted.to_json(), "assuming_no_change": no_change, **sure.to_json()}


def rows_of(path: Path) -> list[Rerun]:
    """The reruns that a file of rows has."""
    return [Rerun.of_json(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    """Measure the settings that were named, or all."""
    chosen = {name: SETTINGS[name] for name in sys.argv[1:] or SETTINGS}
    seeds = range(first := int(os.environ.get("SEED", "1")), first + int(os.environ.get("TALKS", "100")))
    started = time.process_time()
    each, worlds = int(os.environ.get("EACH", "2")), int(os.environ.get("WORLDS", str(WORLDS)))
    path = Path(os.environ.get("ROWS", os.devnull))
    found = rows_of(path)
    with path.open("a") as rows:
        for one in reruns(seeds, chosen, each, worlds, tuple(found)):
            found.append(one)
            print(one.to_json(), file=rows, flush=True)
    told = {"seeds": [seeds.start, seeds.stop - 1], "settings": measured(found), "cpu_s": time.process_time() - started}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
