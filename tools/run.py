"""What ``make run`` does: a conversation where the machine has a microphone and a speaker, else a recorded question.

    python -m tools.run PIPELINE INPUT OUTPUT ORIGIN

ORIGIN is make's word on where INPUT comes from: anything but ``file`` means that the user gave it, and wants it asked.
"""

from __future__ import annotations

import sys

from flowkit.cli import main
from flowkit.providers.sound.device_host import available


def run(pipeline: str, recording: str, reply: str, origin: str) -> int:
    """Run the pipeline; returns its exit code."""
    if origin == "file" and available("input") and available("output"):
        print("Talk to the agent when it is listening; Ctrl-C ends the conversation.", flush=True)
        return main(["run", pipeline])
    if origin == "file":
        print(f"There is no microphone and speaker here: {recording} is asked, the answer goes to {reply}.", flush=True)
    return main(["run", pipeline, "--input", recording, "--output", reply, "--overwrite"])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:5]))
