"""Runs a pipeline for ``make run``: live if the machine has a microphone and a speaker, otherwise with a recorded
question.

    python -m tools.run PIPELINE INPUT OUTPUT ORIGIN

ORIGIN is make's ``origin`` of INPUT. Anything but ``file`` means that the user has set INPUT, so it is used in any
case.
"""

from __future__ import annotations

import sys

from flowkit.cli import main
from flowkit.providers.sound.device_host import available


def run(pipeline: str, recording: str, reply: str, origin: str) -> int:
    """Run the pipeline. Returns its exit code."""
    if origin == "file" and available("input") and available("output"):
        print("Talk to the agent when it is listening; Ctrl-C ends the conversation.", flush=True)
        return main(["run", pipeline])
    if origin == "file":
        print(f"No microphone and speaker found: the input is {recording}, the answer goes to {reply}.", flush=True)
    return main(["run", pipeline, "--input", recording, "--output", reply, "--overwrite"])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:5]))
