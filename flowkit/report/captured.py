"""What libraries print to standard error while a picture is on the terminal: line by line into the picture's log.

PortAudio and llama.cpp write from C, behind Python's back, so the file descriptor itself is turned around.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def captured_stderr(say: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, hand each line of standard error to `say`, from a thread; put it back whatever happens."""
    sys.stderr.flush()
    reading, writing = os.pipe()
    kept = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    reader = threading.Thread(target=_read, args=(reading, say), name="flowkit stderr", daemon=True)
    reader.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        # A child process may still hold the pipe's other end: its last words are waited for, but not for ever.
        reader.join(timeout=0.5)


def _read(reading: int, say: Callable[[str], None]) -> None:
    with os.fdopen(reading, "r", errors="replace") as lines:
        for line in lines:
            if text := line.rstrip():
                say(text)
