"""hotato, another project's scorer of call recordings, agrees with our figures on exported sound.

It gets nothing but the stereo file, and when the user began to speak. Its environment is made once, below out/clients/.
Where it cannot be, the tests are skipped with the reason. https://github.com/attenlabs/hotato
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowkit.calls.export import lines_of, write_stereo
from flowkit.trace.reader import read_trace

ROOT = Path(__file__).resolve().parents[2]
SCORER = "hotato==1.20.0"
SCRIPT = Path(__file__).with_name("hotato_scores.py")
NEAR_S = 0.05
TRACES = ("barge-in", "conversation")


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of an environment with the scorer."""
    folder = ROOT / "out" / "clients" / "hotato"
    python = folder / "bin" / "python"
    try:
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SCORER]
            subprocess.run(install, check=True, capture_output=True, timeout=120)
            (folder / "ready").touch()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{SCORER} cannot be installed: {type(error).__name__}")
    return python


@pytest.mark.parametrize("name", TRACES)
def test_it_finds_the_same_yields(name: str, python: Path, tmp_path: Path) -> None:
    trace = read_trace(ROOT / f"traces/{name}.jsonl")
    told = [line.figures for line in lines_of(trace)]
    ours = [(one["interrupted_ms"] / 1000, one["yield_ms"] / 1000) for one in told if "yield_ms" in one]
    write_stereo(trace, tmp_path / "call.wav")
    command = [python, SCRIPT, tmp_path / "call.wav", *(str(at_s) for at_s, _ in ours)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert ours
    for (_, after_s), (talking, yielded, seconds) in zip(ours, theirs, strict=True):
        assert talking
        assert yielded
        assert abs(seconds - after_s) <= NEAR_S
