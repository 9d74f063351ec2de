"""Builds the sdist and the wheel in dist/, checks them, and tries the wheel in fresh environments.

    python -m tools.release [--wheel | VERSION ...]

With `--wheel` it only builds the wheel. With a VERSION such as 3.11 it tries the wheel with that Python, without one with
each Python that the machine has. An environment gets its packages from the package index of pip's configuration. If
the index cannot be reached, the environments are left out, and the reason is printed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
TRIED = ("3.11", "3.12", "3.13", "3.14")
MUST_HOLD = (
    "flowkit/py.typed",
    "flowkit/config/codes.yaml",
    "flowkit/report/vendor/plot-0.6.min.js",
    "flowkit/samples/pipelines/assistant.yaml",
    "flowkit/samples/pipelines/audio/question.wav",
    "flowkit/samples/traces/barge-in.jsonl",
    "flowkit/samples/traces/barge-in.input.flac",
)
NEVER = re.compile(r"^(tests?|tools|docs)/|(^|/)__pycache__(/|$)|/traces/live/|\.(pyc|new)$")
"""What no wheel may contain. `flowkit/testing` is public."""
NETWORK = re.compile(r"NewConnectionError|NameResolution|Network is unreachable|timed out|ProxyError|ConnectionError")


class ReleaseError(Exception):
    """Something is wrong with the release. The message is for the user."""


class Unreachable(Exception):
    """The package index cannot be reached."""


def main(arguments: Sequence[str]) -> int:
    """Build, check, and try. Returns 1 if something is wrong."""
    try:
        wheel = build(wheel_only="--wheel" in arguments)
        if "--wheel" in arguments:
            return 0
        check(wheel)
        try_all(wheel, [version for version in arguments if version])
    except ReleaseError as error:
        say(f"failed: {error}")
        return 1
    return 0


def build(*, wheel_only: bool) -> Path:
    """Build into dist/. Returns the wheel. The setuptools of this environment is used, so no index is asked."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        # A copy of what git knows, so that nothing else of this folder gets into the archives.
        copy = Path(folder) / "flowkit"
        _run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(copy)])
        for name in _run(["git", "ls-files", "--modified", "--others", "--exclude-standard"]).splitlines():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
        for what in ("wheel",) if wheel_only else ("wheel", "sdist"):
            backend = f"from setuptools import build_meta; build_meta.build_{what}({str(DIST)!r})"
            _run([sys.executable, "-c", backend], cwd=copy)
    for path in sorted(DIST.iterdir()):
        say(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB")
    return next(DIST.glob("*.whl"))


def check(wheel: Path) -> None:
    """Check the contents of both archives and their metadata. Raises ReleaseError."""
    names = zipfile.ZipFile(wheel).namelist()
    sdist = next(DIST.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set(_run(["git", "ls-files", "flowkit/*.py"]).splitlines())
    missing = [name for name in (*MUST_HOLD, *sorted(tracked)) if name not in names or name not in sources]
    if missing:
        raise ReleaseError(f"not in the archives: {', '.join(missing)}")
    if wrong := [name for name in names if NEVER.search(name)]:
        raise ReleaseError(f"should not be in the wheel: {', '.join(wrong)}")
    say(f"contents: {len(names)} files in the wheel, {len(sources)} in the sdist")
    with tempfile.TemporaryDirectory(prefix="flowkit-twine-") as folder:
        try:
            python = environment(Path(folder) / "venv", sys.executable, ["twine"])
        except Unreachable as error:
            say(f"twine: skipped: {error}")
            return
        _run([python, "-m", "twine", "check", "--strict", wheel, sdist])
        say("twine: passed")


def try_all(wheel: Path, versions: Sequence[str]) -> None:
    """Install the wheel in fresh environments, and take a new user's first steps in each. Raises ReleaseError."""
    found = dict(pythons(versions or TRIED))
    if absent := [version for version in versions if version not in found]:
        raise ReleaseError(f"there is no Python {', '.join(absent)} on this machine")
    for version, python in found.items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="flowkit-release-") as folder:
            try:
                installed = environment(Path(folder) / "venv", python, [str(wheel)])
            except Unreachable as error:
                say(f"Python {version}: skipped: {error}")
                continue
            smoke = shutil.copy(Path(__file__).with_name("smoke.py"), folder)
            # Isolated, so that neither this folder nor a variable can lend it a flowkit that is not installed.
            said = _run([installed, "-I", smoke], cwd=Path(folder)).strip()
        say(f"Python {version}: {said}, {time.monotonic() - began:.0f} s")


def pythons(versions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The interpreters of this machine for these versions: on the PATH, else as pyenv keeps them."""
    for version in versions:
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for python in (f"python{version}", *map(str, reversed(kept))):
            asked = [python, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
            try:
                done = subprocess.run(asked, capture_output=True, text=True, check=False)
            except OSError:
                continue
            if done.stdout.strip() == version:
                yield version, python
                break


def environment(folder: Path, python: str, packages: Sequence[str]) -> str:
    """A fresh environment with these packages. Returns its Python. Raises Unreachable or ReleaseError."""
    # The pip of this environment installs into the new one, which saves installing another pip first.
    _run([python, "-m", "venv", "--without-pip", folder])
    inside = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", inside, "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--retries=1", "--timeout=10", *packages], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return inside
    if NETWORK.search(done.stderr):
        raise Unreachable("the package index cannot be reached")
    raise ReleaseError(f"pip cannot install {', '.join(packages)}:\n{done.stderr.strip()}")


def _run(command: Sequence[str | Path], cwd: Path = ROOT) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def say(words: str) -> None:
    print(f"release: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
