"""Standard output and error as every command has them: nothing that others chose can steer a terminal, no secret is shown, no
character ends the command, and a stream that is closed or full is told of, or done without.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from flowkit.files import reason_of
from flowkit.printable import printable
from flowkit.secrets import known

_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)
"""Whoever read our output has gone, or the terminal was closed."""


class Outlet:
    """A stream. What is written becomes printable; `raw` is for flowkit's own colours and pictures.

    A reader who has gone is a BrokenPipeError, or, where what is under way goes on without him (`patient`), nothing. Another
    failure is kept in `error`, and nothing more is written."""

    def __init__(self, stream: TextIO, patient: bool) -> None:
        self._stream = stream
        self._patient = patient
        self.error: OSError | None = None
        self._over = False

    def write(self, text: str) -> int:
        """Write `text` as it may be shown."""
        self.raw.write(printable(known()(text)))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self.raw.flush()

    @property
    def raw(self) -> _Raw:
        """The same stream for control characters that flowkit means."""
        return _Raw(self)

    def guarded(self, method: str, *arguments: str) -> None:
        """Call the stream's method, unless it has failed."""
        if self._over:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except OSError as error:
            self._over = True
            self._discard()
            if error.errno not in _GONE:
                self.error = error
            elif not self._patient:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        except ValueError:
            self._over = True  # closed by somebody within the process

    def _discard(self) -> None:
        """What is still buffered has nowhere to go; it would fail once more when the interpreter ends."""
        try:
            to = self._stream.fileno()
        except (OSError, ValueError):
            return
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, to)
        os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Raw:
    """An outlet's stream, with characters that it cannot encode as escapes."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def write(self, text: str) -> int:
        encoding, text = self._outlet.encoding or "utf-8", known()(text)
        self._outlet.guarded("write", text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        self._outlet.guarded("flush")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outlet, name)


def raw(stream: TextIO) -> TextIO:
    """The stream for flowkit's own control characters, be it an outlet or not."""
    return cast(TextIO, stream.raw) if isinstance(stream, Outlet) else stream


@contextmanager
def outlets(*, patient: bool) -> Iterator[list[str]]:
    """Standard output and error as outlets. Afterwards the list says what was lost that somebody wanted."""
    _open_what_is_closed()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # what is typed or piped in another encoding is still a line
    lost: list[str] = []
    before = sys.stdout, sys.stderr
    out, err = Outlet(sys.stdout, patient), Outlet(sys.stderr, patient=True)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield lost
    finally:
        sys.stdout, sys.stderr = before
        err.flush()
        with suppress(BrokenPipeError):
            out.flush()
        if out.error is not None:
            lost.append(f"standard output cannot be written: {reason_of(out.error)}")


def _open_what_is_closed() -> None:
    """A process may be started without standard streams. The next file opened would take their numbers, and what libraries print
    would go into it."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: `number`
        if getattr(sys, name) is None:
            stream = os.fdopen(number, mode, encoding="utf-8", errors="replace", closefd=False)
            setattr(sys, name, stream)
