"""Every error that flowkit raises on purpose, under one root.

Each class says who raises it and what its exit code is (the codes of the command line, one list for all commands).
An error of another library is translated where it enters flowkit, with ``raise ... from exc``.
"""

from __future__ import annotations

from enum import IntEnum

from flowkit.secrets import mask


class ExitCode(IntEnum):
    """What the process returns; part of the command line's contract."""

    FINE = 0
    CHECKS_FAILED = 1
    USAGE = 2
    INTERNAL = 3
    UNAVAILABLE = 4
    NOTHING_COLLECTED = 5
    INTERRUPTED = 130


class FlowkitError(Exception):
    """Root of all. The message says what happened; ``hint``, if any, says what to do about it. Neither holds a secret."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(mask(message))
        self.hint = mask(hint)


class UsageError(FlowkitError):
    """A command was asked for something that cannot be: raised by ``cli`` before anything runs."""

    exit_code = ExitCode.USAGE


class ConfigError(FlowkitError):
    """The pipeline file is wrong. Raised by ``config`` and ``plan``; the text holds one line a problem, with its place."""

    exit_code = ExitCode.USAGE


class InputError(FlowkitError):
    """An audio file cannot be read: missing, empty, cut short, or of no known form. Raised by the file source."""

    exit_code = ExitCode.USAGE


class OutputError(FlowkitError):
    """A result cannot be written. Raised by sinks before the session starts, or while it runs when the disk fills."""

    exit_code = ExitCode.USAGE


class ProviderError(FlowkitError):
    """A provider (model, API) failed: raised by providers; the engine turns it into a turn's end, not a crash."""

    exit_code = ExitCode.UNAVAILABLE


class ProviderMissing(ProviderError):
    """A provider is named that is not installed; the hint is the command that installs it."""


class DeviceError(FlowkitError):
    """A microphone or speaker cannot be used. Raised by the device providers, in one readable line."""

    exit_code = ExitCode.UNAVAILABLE


class TraceError(FlowkitError):
    """A trace cannot be read or trusted. Raised by ``trace`` on reading."""

    exit_code = ExitCode.USAGE


class IllegalTurn(FlowkitError):
    """The turn table has no row for this state and event: a defect in flowkit. Raised by ``stages.turn``."""


class BoundExceeded(FlowkitError):
    """A queue with ``when_full: error`` overflowed, or the control lane did. Raised by the engine; ends the session."""

    exit_code = ExitCode.UNAVAILABLE
