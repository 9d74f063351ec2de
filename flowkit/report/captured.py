"""Captures what libraries print to standard error while the live view is on the terminal.

PortAudio and llama.cpp write from C, past Python's ``sys.stderr``. So the file descriptor itself is redirected.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def captured_stderr(write_line: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, pass each line of standard error to `write_line`, from another thread.

    The original standard error is restored afterwards in any case.
    """
    sys.stderr.flush()  # what Python has buffered so far still belongs to the terminal
    reading, writing = os.pipe()
    original = os.dup(2)
    # The descriptor and not `sys.stderr`, because libraries in C write to it directly.
    os.dup2(writing, 2)
    # Descriptor 2 alone keeps the pipe open now, so that restoring it ends the reading thread.
    os.close(writing)
    reader = threading.Thread(target=_read, args=(reading, write_line), name="flowkit stderr", daemon=True)
    reader.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(original, 2)
        os.close(original)
        # A child process may keep the pipe open. Its last lines are waited for, but only for a while.
        reader.join(timeout=0.5)


def _read(reading: int, write_line: Callable[[str], None]) -> None:
    with os.fdopen(reading, "r", errors="replace") as lines:
        for line in lines:
            if text := line.rstrip():
                write_line(text)
