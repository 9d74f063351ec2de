"""How long reading a pipeline takes: a file of 1,000 lines after imports, and whole commands. One JSON object on stdout.

Targets: 1,000 lines in under 60 ms, ``--help`` in under 150 ms, ``check`` of the small example in under 400 ms. Each figure is the
best of several runs, as a shared machine only ever adds to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SMALL = """\
flowkit: 1
stages:
  - {kind: mic}
  - {kind: vad, provider: silero}
  - {kind: asr, provider: moonshine}
  - {kind: gate}
  - {kind: llm, provider: llamacpp, system: "You are a friendly assistant. Answer in one or two short sentences."}
  - {kind: chunker}
  - {kind: tts, provider: piper}
  - {kind: speaker}
"""


def thousand_lines() -> str:
    """A pipeline with many tests, as a grown file has, and chunkers with all their keys in block style."""
    text = SMALL
    case = '  - name: case {0}\n    chunker:\n      feed: ["The price is 3", ".", "14 dol", "lars. Next."]\n      expect: [a, b]\n'
    text += "tests:\n" + "".join(case.format(i) for i in range(248))
    return text.rstrip("\n") + "\n"


def best_ms(run: Callable[[], object], times: int) -> float:
    """The shortest of several runs."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        taken.append((time.perf_counter() - started) * 1000)
    return round(min(taken), 1)


def main() -> None:
    """Measure and print."""
    from flowkit.config import read
    from flowkit.plan import vet

    text = thousand_lines()
    reading = read("x.yaml", text=text)
    assert not reading.problems, reading.problems[0]
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.yaml"
        small.write_text(SMALL)
        command = [sys.executable, "-m", "flowkit"]
        figures = {
            "lines": len(text.splitlines()),
            "read_1000_lines_ms": best_ms(lambda: read("x.yaml", text=text), 10),
            "vet_1000_lines_ms": best_ms(lambda: vet(reading), 10),
            "help_ms": best_ms(lambda: subprocess.run([*command, "--help"], capture_output=True, check=True), 7),
            "check_small_ms": best_ms(
                lambda: subprocess.run([*command, "check", str(small)], capture_output=True, check=True), 7
            ),
            "python_itself_ms": best_ms(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 7),
        }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
