"""Installs the packages of requirements.lock and flowkit itself into .venv/. `make` runs it before everything else.

Another run is quick: a stamp file in .venv/ has the hashes of what was installed, and nothing is done if they are
unchanged. Common problems (an old Python, a full disk, no network) are reported in one line, with exit code 1.

Any `python3` of a machine may run this file, to find a newer one. So it uses only the syntax of Python 3.6.
"""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Callable, List, NamedTuple, Optional, Sequence

from tools.pip_output import Progress, explain

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3.14", "python3", "python")  # 3.11 is what CI runs
MB = 1000000
# Measured: 880 MB installed, 360 MB of wheels in the temporary folder while pip unpacks them, and 360 MB in pip's cache.
ROOM_MB = 2000
ROOM_TEMPORARY_MB = 500


class SetupError(Exception):
    """Setup has failed. The message is one line for the user."""


class Python(NamedTuple):
    """A working interpreter: its command and its (major, minor) version."""

    command: str
    version: Sequence[int]

    def __str__(self) -> str:
        return "Python %d.%d" % tuple(self.version)


def main() -> int:
    """Set up the environment. Returns exit code 1 after a failure, and 130 after Ctrl-C."""
    try:
        set_up(ROOT)
    except SetupError as exc:
        print("setup: %s" % exc, file=sys.stderr)
        return 1
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = explain(["No space left on device"], "") if full else "%s: %s" % (exc.filename, exc.strerror)
        print("setup: %s" % reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run make again to continue", file=sys.stderr)
        return 130
    return 0


def set_up(root: str) -> None:
    """Update `root`/.venv: first the packages of the lock, then flowkit itself, each only after a change."""
    venv = os.path.join(root, ".venv")
    stamp = os.path.join(venv, "flowkit-setup.stamp")
    packages = fingerprint(root, "requirements.lock")
    project = fingerprint(root, "pyproject.toml")
    done = read_stamp(stamp) if os.path.exists(venv_python(venv)) else []
    if done == [packages, project]:
        return
    if done[:1] != [packages]:
        forget(stamp)
        install_packages(root, venv)
        write_stamp(stamp, [packages])
    say("flowkit itself")
    run_pip(venv, ["--no-deps", "--no-build-isolation", "--editable", root], None)
    write_stamp(stamp, [packages, project])
    say("ready in .venv/")


def install_packages(root: str, venv: str) -> None:
    """Create the environment if it is missing, and install the packages of the lock. Raises SetupError."""
    lock = os.path.join(root, "requirements.lock")
    python = find_python(os.environ.get("PYTHON", ""), probe)
    check_room(root, os.path.exists(venv))
    if not usable(venv):
        say("an environment in .venv/ with %s (%s)" % (python, python.command))
        run([python.command, "-m", "venv", "--clear", venv], str(python), None)
    total = count_pins(lock)
    say("packages from the package index, about 360 MB; once")
    progress = Progress(total, sys.stderr)
    wheels_only = ["--only-binary=:all:", "--no-deps", "--require-hashes"]
    run_pip(venv, wheels_only + ["--requirement", lock], progress)


def find_python(chosen: str, ask: Callable[[str], Optional[Python]]) -> Python:
    """Find the first interpreter that is new enough, among `chosen` (make PYTHON=...) if given, otherwise CANDIDATES.

    `ask` takes a command and returns its interpreter, or None. Raises SetupError if no interpreter is new enough.
    """
    found = [python for python in map(ask, [chosen] if chosen else CANDIDATES) if python]
    for python in found:
        if tuple(python.version) >= OLDEST:
            return python
    newest = max(found, key=lambda python: tuple(python.version)) if found else None
    have = "%s is %s" % (newest.command, newest) if newest else "%s is not there" % (chosen or "python3")
    advice = "install python3.11 and python3.11-venv, or name one: make PYTHON=/path/to/python3.11"
    raise SetupError("flowkit needs Python %d.%d or newer, but %s; %s" % (OLDEST + (have, advice)))


def probe(command: str) -> Optional[Python]:
    """Run `command` to get its version. Returns None if it is missing, broken or not Python."""
    question = [command, "-c", "import sys; print('%d %d' % sys.version_info[:2])"]
    try:
        answer = subprocess.run(question, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    words = answer.stdout.decode("ascii", "replace").split()
    if answer.returncode != 0 or len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    return Python(command, (int(words[0]), int(words[1])))


def usable(venv: str) -> bool:
    """Whether `venv` is a working environment with pip and a Python that is new enough."""
    python = probe(venv_python(venv))
    if python is None or tuple(python.version) < OLDEST:
        return False
    return subprocess.call([venv_python(venv), "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


def check_room(root: str, exists: bool) -> None:
    """Raises SetupError if there is too little free disk space. If the environment exists, half of it is enough."""
    temporary = tempfile.gettempdir()
    for path, need in ((root, ROOM_MB // 2 if exists else ROOM_MB), (temporary, ROOM_TEMPORARY_MB)):
        free = shutil.disk_usage(path).free // MB
        if free < need:
            advice = "free some, or set TMPDIR to another folder" if path == temporary else "free some"
            raise SetupError("setting up needs %d MB of disk, and %s has %d MB free; %s" % (need, path, free, advice))


def run_pip(venv: str, arguments: List[str], progress: Optional[Progress]) -> None:
    """Run `pip install` with the user's pip configuration, which alone decides where packages come from."""
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    python = probe(venv_python(venv))
    run([venv_python(venv), "-m", "pip", "install"] + quiet + arguments, str(python), progress)


def run(command: List[str], python: str, progress: Optional[Progress]) -> None:
    """Run a command and read its output. Raises SetupError with a one-line explanation if it fails."""
    lines = []  # type: List[str]
    environment = dict(os.environ, LC_ALL="C.UTF-8", PYTHONUNBUFFERED="1")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=environment, **pipes) as process:  # type: ignore[call-overload]
        for raw in process.stdout:
            lines.append(raw.decode("utf-8", "replace").rstrip())
            if progress:
                progress.feed(lines[-1])
    if progress:
        progress.close()
    if process.returncode != 0:
        raise SetupError(explain(lines, python))


def count_pins(lock: str) -> int:
    with open(lock, encoding="utf-8") as file:
        return sum(1 for line in file if line[:1].isalnum())


def fingerprint(root: str, name: str) -> str:
    """A hash of a file and of the project's path. After a move the environment has wrong paths and must be made
    again."""
    with open(os.path.join(root, name), "rb") as file:
        return hashlib.sha256(file.read() + root.encode("utf-8", "surrogateescape")).hexdigest()


def read_stamp(stamp: str) -> List[str]:
    if not os.path.exists(stamp):
        return []
    with open(stamp, encoding="ascii") as file:
        return file.read().split()


def write_stamp(stamp: str, lines: List[str]) -> None:
    with open(stamp, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


def forget(stamp: str) -> None:
    """Remove the stamp before a change, so that an interrupted setup is repeated."""
    if os.path.exists(stamp):
        os.remove(stamp)


def venv_python(venv: str) -> str:
    return os.path.join(venv, "bin", "python")


def say(words: str) -> None:
    print("setup: %s" % words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
