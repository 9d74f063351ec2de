"""How soon the first sound of an answer comes: with one silence, with the stage `turn`, and with answers that are begun early.

The sample question is asked in real time, of the embedded models, as `make run` does without a microphone. Each run is a
process of its own, and the settings take turns, so that what else the machine does meets all of them.

    python tests/benchmarks/bench_first_audio.py [RUNS]

Prints JSON: for each setting the TTFA in ms of every run with its p50, and how much sooner each is than the one before,
by the p50s. `load` is the load average of the machine before and after.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENT = ("stages.llm.preempt=null", "stages.asr.ahead=0ms")
SETTINGS = {
    "end: 400ms": ("stages.vad.end=400ms", *PATIENT),
    "turn": PATIENT,
    "turn and preempt": (),
}


def asked(settings: tuple[str, ...], reply: Path) -> dict[str, Any]:
    """The report of one run, whose answer is written to `reply`."""
    given = [f"--set={setting}" for setting in settings]
    sound = ["--input", "pipelines/audio/question.wav", "--output", str(reply), "--overwrite", "--no-trace"]
    command = [sys.executable, "-m", "flowkit", "run", "pipelines/assistant.yaml", *sound, "--format", "json", *given]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Ask with each of the settings in turn."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    before = os.getloadavg()[0]
    turns: dict[str, list[Any]] = {name: [] for name in SETTINGS}
    with TemporaryDirectory() as folder:
        for number in range(runs):
            for name, settings in SETTINGS.items():
                turns[name].append(asked(settings, Path(folder, "reply.wav"))["turns"][0])
                print(f"{number + 1} {name}: {turns[name][-1]['ttfa_ms']} ms", file=sys.stderr)
    p50s = {name: median(turn["ttfa_ms"] for turn in of) for name, of in turns.items()}
    found = {name: {"p50_ms": p50s[name], "ttfa_ms": [turn["ttfa_ms"] for turn in of]} for name, of in turns.items()}
    first, second, third = p50s.values()
    sooner = {"turn_sooner_ms": first - second, "preempt_sooner_ms": second - third}
    print(json.dumps({**found, **sooner, "load": [before, os.getloadavg()[0]]}, indent=1))


if __name__ == "__main__":
    main()
