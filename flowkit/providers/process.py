"""A program as a child process: how it is ended, and what it said last."""

from __future__ import annotations

import os
import signal
from collections import deque
from contextlib import suppress

import trio

GRACE_S = 1.0
"""How long a process may take to end after its standard input was closed. It needs milliseconds."""
READ_BYTES = 1 << 16
_LINES = 5
_LONGEST_LINE = 500


class ErrorOutput:
    """The last lines of a process's standard error, for the error that reports its end."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_LINES)
        self.ended = trio.Event()

    async def read(self, process: trio.Process) -> None:
        """Read until the process closes its standard error."""
        assert process.stderr is not None, "opened with a pipe"
        while data := await process.stderr.receive_some(READ_BYTES):
            lines = (line.strip() for line in data.decode(errors="replace").splitlines())
            self.lines.extend(line[:_LONGEST_LINE] for line in lines if line)
        self.ended.set()


async def stop(process: trio.Process) -> None:
    """Close the standard input of `process`, by which it knows that it shall end, and kill it if it does not."""
    assert process.stdin is not None, "opened with a pipe"
    await process.stdin.aclose()
    with trio.move_on_after(GRACE_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


async def stop_group(process: trio.Process) -> None:
    """As ``stop``, for a process that leads a group: no process of the group is left."""
    await stop(process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def reason(returncode: int | None, errors: deque[str]) -> str:
    """How a process ended, with the last line that it wrote."""
    code = returncode or 0
    why = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{why} ({errors[-1]})" if errors and code else why
