"""Every error that flowkit raises on purpose, under one root.

Each class says who raises it and which exit code it leads to. An error of another library is translated where it enters
flowkit, with ``raise ... from exc``.
"""

from __future__ import annotations

from enum import IntEnum

from flowkit.secrets import mask


class ExitCode(IntEnum):
    """What the process returns. The same list holds for all commands and is part of the command line's contract."""

    FINE = 0
    CHECKS_FAILED = 1
    USAGE = 2
    INTERNAL = 3
    UNAVAILABLE = 4
    NOTHING_COLLECTED = 5
    INTERRUPTED = 130


class FlowkitError(Exception):
    """Root of all errors.

    The message says what happened. ``hint``, if there is one, says what to do about it. Secrets are masked in both.
    """

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(mask(message))
        self.hint = mask(hint)

    def __reduce__(self) -> tuple[object, ...]:
        # Subclasses may take other arguments than a message, and pickle would pass them the message.
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[FlowkitError], args: tuple[object, ...], state: dict[str, object]) -> FlowkitError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class UsageError(FlowkitError):
    """A command was given arguments that make no sense. Raised by ``cli`` before anything runs."""

    exit_code = ExitCode.USAGE


class ConfigError(FlowkitError):
    """The pipeline file is wrong. Raised by ``config`` and ``plan``. The message has one line for each problem."""

    exit_code = ExitCode.USAGE


class Refused(FlowkitError):
    """A host takes no more sessions: it is full, too busy, or draining. Raised by ``Host.run_session``. Try another host."""

    exit_code = ExitCode.UNAVAILABLE


class SessionOver(FlowkitError):
    """The session has ended, so there is no further reply. Raised by ``Session.reply``. ``Session.outcome`` says how it went."""

    exit_code = ExitCode.UNAVAILABLE


class InputError(FlowkitError):
    """An audio file cannot be read: it is missing, empty, cut short, or of an unknown format. Raised by the file source."""

    exit_code = ExitCode.USAGE


class OutputError(FlowkitError):
    """A result cannot be written. Raised before the session starts, or while it runs if the disk is full."""

    exit_code = ExitCode.USAGE


class ProviderError(FlowkitError):
    """A provider (model, API) failed. Raised by providers. The engine ends the turn and goes on."""

    exit_code = ExitCode.UNAVAILABLE


class ProviderMissing(ProviderError):
    """The provider is not installed. The hint is the command that installs it."""


class DeviceError(FlowkitError):
    """A microphone or speaker cannot be used. Raised by the device providers. The message is one line."""

    exit_code = ExitCode.UNAVAILABLE


class TraceError(FlowkitError):
    """A trace cannot be read, or cannot be trusted. Raised by ``trace`` and ``replay``."""

    exit_code = ExitCode.USAGE


class WorkersError(FlowkitError):
    """Jobs cannot be run in other processes, or one of them has ended its process twice. Raised by ``jobs``."""

    exit_code = ExitCode.UNAVAILABLE


class IllegalTurn(FlowkitError):
    """The turn table has no row for this state and event. That is a defect in flowkit. Raised by ``stages.turn``."""
