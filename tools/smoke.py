"""What a new user does first, with an installed flowkit, in an empty folder. Prints a line for each step.

    python smoke.py

It is run by the Python of the environment in which flowkit is installed. It needs no model, device, key or network.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

TYPED = "Hello?\n"
STEPS: tuple[tuple[str, str, str], ...] = (
    # command, what is typed, what the output must contain
    ("--version", "", "flowkit "),
    ("init mine --text --name mine --language de", "", "agent.yaml"),
    ("check --deny-warnings mine/agent.yaml mine/agent.test.yaml", "", ""),
    ("test mine", "", "3 passed"),
    ("run mine/agent.yaml --trace mine/first.jsonl", TYPED, "Hallo."),
    ("replay mine/first.jsonl --exact", "", "turn 1"),
    ("init . --samples", "", "pipelines/audio/question.wav"),
    ("run pipelines/scripted.yaml --turns 1 --trace spoken.jsonl --format plain", "", "turn 1: "),
    ("test traces/barge-in.jsonl", "", "1 passed"),
    ("report traces/barge-in.jsonl -o barge-in.html", "", ""),
    ("providers", "", "GPL-3.0-or-later"),
)
TIMEOUT_S = 300
"""Of one step. They take seconds, but a busy machine may take much longer."""


def main() -> int:
    """Take every step. Returns 1 at the first that fails."""
    flowkit = Path(sys.executable).with_name("flowkit")
    with tempfile.TemporaryDirectory(prefix="flowkit-smoke-") as folder:
        for arguments, typed, wanted in STEPS:
            done = subprocess.run(
                [flowkit, *arguments.split()],
                cwd=folder,
                input=typed,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
            if done.returncode != 0 or wanted not in done.stdout:
                print(f"flowkit {arguments}: exit code {done.returncode}", done.stdout, done.stderr, sep="\n")
                return 1
    print(f"{len(STEPS)} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main())
