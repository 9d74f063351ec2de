"""The wheel is checked and tried, and a machine without a package index is no failure. The archives themselves are built by
`make release`, which CI runs."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import release, smoke
from tools.release import ReleaseError, Unreachable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Archives with everything that they must hold, and no network for twine."""
    monkeypatch.setattr(release, "DIST", tmp_path)
    monkeypatch.setattr(release, "environment", unreachable)
    return archives(tmp_path)


def unreachable(folder: Path, python: str, packages: object) -> str:
    raise Unreachable("the package index cannot be reached")


def archives(folder: Path, *, without: str = "", more: str = "") -> Path:
    tracked = subprocess.run(["git", "ls-files", "flowkit/*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = {*release.MUST_HOLD, *tracked.stdout.splitlines(), *([more] if more else [])} - {without}
    with zipfile.ZipFile(folder / "a.whl", "w") as wheel, tarfile.open(folder / "a.tar.gz", "w:gz") as sdist:
        for name in names:
            wheel.writestr(name, "")
            sdist.addfile(tarfile.TarInfo(f"a/{name}"))
    return folder / "a.whl"


def test_complete_archives_pass_and_twine_is_left_out_without_an_index(
    dist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release.check(dist)
    assert "release: twine: skipped: the package index cannot be reached" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["flowkit/samples/pipelines/audio/question.wav", "flowkit/chunker/core.py"])
def test_a_file_that_is_missing_is_named(dist: Path, name: str) -> None:
    with pytest.raises(ReleaseError, match=f"not in the archives: {name}"):
        release.check(archives(dist.parent, without=name))


@pytest.mark.parametrize("name", ["tests/conftest.py", "flowkit/samples/traces/live/a.jsonl", "flowkit/a.pyc"])
def test_a_file_that_should_not_be_there_is_named(dist: Path, name: str) -> None:
    with pytest.raises(ReleaseError, match="should not be in the wheel"):
        release.check(archives(dist.parent, more=name))


def test_a_python_that_was_named_must_be_there(dist: Path) -> None:
    with pytest.raises(ReleaseError, match=r"there is no Python 2\.6 on this machine"):
        release.try_all(dist, ["2.6"])


def test_an_environment_without_an_index_is_skipped_with_its_reason(
    dist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    release.try_all(dist, [here])
    assert f"release: Python {here}: skipped: the package index cannot be reached" in capsys.readouterr().out


def test_the_first_steps_name_a_command_that_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smoke, "STEPS", (("--version", "", "flowkit "), ("--version", "", "something else")))
    assert smoke.main() == 1
    assert "flowkit --version: exit code 0" in capsys.readouterr().out


def test_the_first_steps_work_here(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = [step for step in smoke.STEPS if step[0].startswith(("--version", "init mine", "run mine"))]
    monkeypatch.setattr(smoke, "STEPS", tuple(quick))
    assert len(quick) == 3
    assert smoke.main() == 0
