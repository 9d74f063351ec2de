"""Setup reports in one line everything that a machine may lack."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from tools import setup
from tools.pip_output import Progress, explain
from tools.setup import Python, SetupError

ROOT = Path(__file__).resolve().parents[2]

# A stand-in for python, venv and pip: it answers the questions setup asks, makes a .venv with itself inside,
# and lets pip say what the test wants. Calls of pip are counted in a file.
FAKE_PYTHON = """\
#!/bin/sh
case "$1 $2" in
  "-c import sys"*) echo "3 11" ;;
  "-c import pip") ;;
  "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  "-m pip") echo called >> "$FAKE_CALLS"; printf '%b' "$FAKE_PIP_SAYS"; exit "$FAKE_PIP_CODE" ;;
  *) echo "unexpected: $*" >&2; exit 99 ;;
esac
"""


class Clone(NamedTuple):
    """A clone in a folder with spaces in its path, with the fake python."""

    root: Path
    python: Path
    calls: Path

    def make_setup(self, pip_says: str = "", pip_code: int = 0) -> "subprocess.CompletedProcess[str]":
        fakes = {"FAKE_CALLS": str(self.calls), "FAKE_PIP_SAYS": pip_says, "FAKE_PIP_CODE": str(pip_code)}
        environment = {"PATH": os.environ["PATH"], "PYTHON": str(self.python), **fakes}
        command = ["make", "--no-print-directory", "setup"]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def pip_calls(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    root = tmp_path / "a folder" / "with spaces"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    (root / "requirements.lock").write_text("anyio==4.16.0 \\\n    --hash=sha256:00\n")
    python = tmp_path / "fake python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return Clone(root, python, tmp_path / "calls")


def problems(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """The lines on stderr, without the announced steps and make's own last lines."""
    steps = ("setup: an environment in", "setup: packages from", "setup: flowkit itself", "setup: ready", "make: ***")
    return [line for line in done.stderr.splitlines() if not line.startswith(steps)]


def test_setup_in_a_path_with_spaces_runs_once_and_then_does_nothing(clone: Clone) -> None:
    first = clone.make_setup()
    assert (first.returncode, problems(first), clone.pip_calls()) == (0, [], 2)
    again = clone.make_setup()
    assert (again.returncode, again.stderr, clone.pip_calls()) == (0, "", 2)


def test_a_changed_lock_installs_again_and_a_changed_project_only_flowkit(clone: Clone) -> None:
    clone.make_setup()
    (clone.root / "pyproject.toml").write_text("changed")
    clone.make_setup()
    assert clone.pip_calls() == 3
    (clone.root / "requirements.lock").write_text("anyio==4.17.0 --hash=sha256:00\n")
    clone.make_setup()
    assert clone.pip_calls() == 5


def test_a_failed_install_is_one_line_and_is_tried_again(clone: Clone) -> None:
    says = "Collecting anyio==4.16.0\\nERROR: No matching distribution found for anyio==4.16.0\\n"
    failed = clone.make_setup(says, pip_code=1)
    assert failed.returncode != 0
    assert len(problems(failed)) == 1
    assert "cannot fetch anyio==4.16.0" in problems(failed)[0]
    assert clone.make_setup().returncode == 0


@pytest.mark.parametrize("path", ["old", "missing"])
def test_a_chosen_python_that_will_not_do_is_one_line(clone: Clone, path: str) -> None:
    clone.python.write_text("#!/bin/sh\necho '3 8'\n")
    if path == "missing":
        clone.python.unlink()
    done = clone.make_setup()
    assert done.returncode != 0
    assert len(problems(done)) == 1
    assert "flowkit needs Python 3.11 or newer" in problems(done)[0]
    assert not (clone.root / ".venv").exists()


def asking(versions: dict[str, Sequence[int]]) -> Callable[[str], Python | None]:
    return lambda command: Python(command, versions[command]) if command in versions else None


def test_python_311_is_preferred_then_newer() -> None:
    everything = dict.fromkeys(setup.CANDIDATES, (3, 13)) | {"python3.11": (3, 11)}
    assert setup.find_python("", asking(everything)).command == "python3.11"
    assert setup.find_python("", asking({"python3": (3, 9), "python3.12": (3, 12)})).command == "python3.12"
    assert setup.find_python("mine", asking({"mine": (3, 12), "python3.11": (3, 11)})).command == "mine"


def test_an_old_python_names_what_is_there() -> None:
    with pytest.raises(SetupError, match=r"^flowkit needs Python 3\.11 or newer, but python3 is Python 3\.8; .*$"):
        setup.find_python("", asking({"python3": (3, 8), "python": (2, 7)}))


def test_a_full_disk_is_seen_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: SimpleNamespace(free=3 * setup.MB))
    with pytest.raises(SetupError, match=r"needs 2000 MB of disk, and .* has 3 MB free"):
        setup.check_room(str(tmp_path), exists=False)


def test_a_disk_that_fills_up_later_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(root: str) -> None:
        raise OSError(28, "No space left on device", root)

    monkeypatch.setattr(setup, "set_up", fail)
    assert setup.main() == 1
    assert capsys.readouterr().err.startswith("setup: the disk is full")


@pytest.mark.parametrize(
    ("pip_says", "expected"),
    [
        (["ERROR: Could not install packages: [Errno 28] No space left on device"], "the disk is full"),
        (["Error: ensurepip is not available."], "python3.11-venv"),
        (["/usr/bin/python3.11: No module named venv"], "python3.11-venv"),
        (
            ["WARNING: Retrying (Retry(total=0)) after", "ERROR: No matching distribution found for anyio==4.16.0"],
            "cannot fetch anyio==4.16.0: the package index does not answer",
        ),
        (["ERROR: No matching distribution found for anyio==4.16.0"], "no file of it for Python 3.11"),
        (["Collecting anyio==4.16.0 (from -r x)", "ERROR: HTTP error 503 while getting x"], "answers HTTP 503"),
        (
            ["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "    anyio==4.16.0 from https://x:", "  Expected"],
            "anyio==4.16.0 from your package index is not the file",
        ),
        (["ERROR: something new"], "pip failed at the packages: ERROR: something new"),
        ([], "it said nothing"),
    ],
)
def test_what_pip_says_becomes_one_line(pip_says: list[str], expected: str) -> None:
    line = explain(pip_says, "Python 3.11")
    assert expected in line
    assert "\n" not in line


def test_progress_counts_packages_and_megabytes_and_leaves_out_what_pip_ignores() -> None:
    out = StringIO()
    progress = Progress(3, out)
    for line in (
        "Ignoring colorama: markers 'sys_platform == \"win32\"' don't match your environment",
        "Collecting anyio==4.16.0 (from -r requirements.lock (line 6))",
        "  Downloading anyio-4.16.0-py3-none-any.whl (500 kB)",
        "Processing /somewhere/numpy-2.4.6-cp311.whl",
        "  Downloading numpy-2.4.6-cp311.whl (16.5 MB)",
        "Installing collected packages: anyio, numpy",
    ):
        progress.feed(line)
    assert (progress.begun, progress.total) == (2, 2)
    assert "2 packages, 17 MB fetched" in out.getvalue()
