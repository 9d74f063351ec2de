"""What an early first transcript costs in words: `ahead: 40ms` of Moonshine on labelled recordings.

    python tests/benchmarks/bench_ahead.py [FOLDER...]

Without a folder, the open half of the set of tests/turns/make_set.py is made first. For each turn that is labelled with its words:
the first transcript of all that was said, and the last, which counts. Prints JSON: the turns, the word error rate of both, the
share of turns in which they differ, and the median time from the end of speech to each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import trio

from flowkit.cli.bench import EMBEDDED
from flowkit.clock import US_PER_S
from flowkit.config import load
from flowkit.messages import Partial
from flowkit.plan import resolve
from flowkit.testing.turns.labels import Labelled, UserTurn, collect
from flowkit.testing.turns.listening import HeardRecording, hear
from flowkit.words import words
from tests.turns.make_set import make

AHEAD = ("stages.asr.ahead=40ms",)
_AFTER_US = 2_000_000


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest words to insert, drop and change (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for count, word in enumerate(said, start=1):
        before, row[0] = row[0], count
        for place, other in enumerate(heard, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def transcripts(heard: HeardRecording, turn: UserTurn) -> list[tuple[int, Partial]]:
    """The transcripts of all that was said in a turn, with their times."""
    ends_us = round(turn.ends * US_PER_S)
    return [
        (us, partial)
        for us, partial in heard.partials
        if us < ends_us + _AFTER_US and partial.until * heard.frame_us >= ends_us
    ]


def keys(text: str) -> list[str]:
    """The words to compare."""
    return [word.key for word in words(text)]


def measured(recordings: Iterable[Labelled]) -> dict[str, float]:
    """The figures of these recordings."""
    plan = resolve(load("embedded", text=EMBEDDED, overrides=AHEAD))
    wrong = {"first": 0, "last": 0}
    after_ms: dict[str, list[float]] = {"first": [], "last": []}
    turns = said = differ = 0
    for heard in (hear(recording, plan) for recording in recordings):
        for turn in heard.recording.turns:
            found = transcripts(heard, turn)
            if not turn.parts or not found:
                continue
            turns, label = turns + 1, keys(" ".join(turn.parts))
            said += len(label)
            differ += found[0][1].text != found[-1][1].text
            for name, (us, partial) in (("first", found[0]), ("last", found[-1])):
                wrong[name] += errors(label, keys(partial.text))
                after_ms[name].append(us / 1000 - turn.ends * 1000)
    rates = {f"{name}_wrong": round(count / (said or 1), 3) for name, count in wrong.items()}
    times = {f"{name}_after_ms_p50": round(median(of or [0])) for name, of in after_ms.items()}
    return {"turns": turns, "words": said, **rates, "differ": round(differ / (turns or 1), 3), **times}


def main() -> None:
    """Measure the recordings that are given, or the set that is made."""
    with TemporaryDirectory() as folder:
        if not (given := sys.argv[1:]):
            trio.run(make, Path(folder), "en", "open")
        print(json.dumps(measured(collect(given or [folder])), indent=1))


if __name__ == "__main__":
    main()
