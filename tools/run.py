"""Runs a pipeline for ``make run``: live if the machine has a microphone and a speaker, otherwise with a recorded
question.

    python -m tools.run PIPELINE INPUT OUTPUT ORIGIN

ORIGIN is make's ``origin`` of INPUT. Anything but ``file`` means that the user has set INPUT, so it is used in any
case.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from flowkit.cli import main
from flowkit.providers.sound.device_host import available

PIPELINE = "pipelines/assistant.yaml"


def run(pipeline: str, recording: str, reply: str, origin: str) -> int:
    """Run the pipeline. Returns its exit code."""
    if origin == "file" and available("input") and available("output"):
        print("Talk to the agent when it is listening; Ctrl-C ends the conversation.", flush=True)
        code = main(["run", pipeline])
    else:
        if origin == "file":
            print(f"No microphone and speaker found: the input is {recording}, the answer goes to {reply}.", flush=True)
        code = main(["run", pipeline, "--input", recording, "--output", reply, "--overwrite"])
    print(called(), flush=True)
    return code


def called() -> str:
    """How a user calls flowkit from now on."""
    command = Path(sys.executable).with_name("flowkit")
    found = shutil.which("flowkit")
    if found is not None and Path(found) == command:
        return f"\nNext: flowkit run {PIPELINE} --text"
    # As it is typed in this folder, whatever the folder is called.
    near = os.path.relpath(command)
    activate = os.path.relpath(command.with_name("activate"))
    return (
        f"\nNext: {near} run {PIPELINE} --text\n"
        f"flowkit lies in {os.path.dirname(near)}. After `. {activate}` this shell finds it as `flowkit`."
    )


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:5]))
