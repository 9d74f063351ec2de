"""Safe standard streams for all commands.

Control characters in foreign text do not reach the terminal. Secrets are masked. A character that the terminal cannot
encode does not end the command. A closed or full stream is reported or ignored.
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
"""Errors of a stream whose reader has closed it, or whose terminal was closed."""


class Outlet:
    """Wraps a standard stream. Text is made printable and secrets are masked; use `raw` for flowkit's own colours and
    drawings.

    If the reader closes the stream, writing raises BrokenPipeError. With `patient` it does nothing instead, for a
    command that continues without its output. Any other failure is kept in `error`, and nothing more is written.
    """

    def __init__(self, stream: TextIO, patient: bool) -> None:
        self._stream = stream
        self._patient = patient
        self.error: OSError | None = None
        self._over = False

    def write(self, text: str) -> int:
        """Write `text` without control characters and secrets."""
        self.raw.write(printable(known()(text)))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self.raw.flush()

    @property
    def raw(self) -> _Raw:
        """The same stream, for text with flowkit's own control characters."""
        return _Raw(self)

    def guarded(self, method: str, *arguments: str) -> None:
        """Call a method of the stream. Does nothing after the stream has failed."""
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
            self._over = True  # closed within this process

    def _discard(self) -> None:
        """Send buffered text to the null device. Otherwise writing it fails again when the interpreter ends."""
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
    """The stream of an outlet. Characters that it cannot encode become escapes."""

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
    """The stream for text with flowkit's own control characters. `stream` need not be an outlet."""
    return cast(TextIO, stream.raw) if isinstance(stream, Outlet) else stream


@contextmanager
def outlets(*, patient: bool) -> Iterator[list[str]]:
    """Replace standard output and error by outlets. Afterwards the list says whether output was lost.

    With `patient`, the command continues if the reader closes standard output.
    """
    _open_what_is_closed()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # input in another encoding must not end the command
    lost: list[str] = []
    before = sys.stdout, sys.stderr
    # Messages are not the result of a command, so it never ends because nobody reads them.
    out, err = Outlet(sys.stdout, patient), Outlet(sys.stderr, patient=True)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield lost
    finally:
        sys.stdout, sys.stderr = before
        err.flush()
        # The command has ended, so a reader that has gone away is no error any more.
        with suppress(BrokenPipeError):
            out.flush()
        if out.error is not None:
            lost.append(f"standard output cannot be written: {reason_of(out.error)}")


def _open_what_is_closed() -> None:
    """Open missing standard streams on the null device.

    A process may be started without them. The next opened file would get their number, and text that libraries print
    would go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is `number`
        if getattr(sys, name) is None:
            stream = os.fdopen(number, mode, encoding="utf-8", errors="replace", closefd=False)
            setattr(sys, name, stream)
