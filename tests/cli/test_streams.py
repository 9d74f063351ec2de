"""Standard streams that are closed, full or in another encoding are reported or ignored, with the documented exit
code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TALK = """flowkit: 1
stages:
  - {kind: gate}
  - {kind: llm, provider: canned, text: "é → 東京 \\e]52;c;aGk=\\a done."}
  - {kind: chunker}
  - {kind: tts, provider: print}
"""


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.yaml"
    path.write_text(TALK, "utf-8")
    return path


def shell(command: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """A line of sh with ``flowkit`` in it."""
    with_it = f'flowkit() {{ "{sys.executable}" -m flowkit "$@"; }}; {command}'
    env = {**os.environ, **environ}
    return subprocess.run(["sh", "-c", with_it], cwd=ROOT, env=env, capture_output=True, timeout=60)


def test_no_escape_of_a_model_s_reaches_the_terminal(talk: Path) -> None:
    done = shell(f"echo hi | flowkit run {talk} --text --no-trace")
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr
    assert "é → 東京 \\u001b]52;c;aGk=\\u0007 done." in done.stdout.decode()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_that_is_not_utf_8_shows_escapes(talk: Path, encoding: str) -> None:
    done = shell(f"echo 'hi é' | flowkit run {talk} --text --no-trace", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "done." in done.stdout.decode(encoding)


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "| true", "2>&1 | true"])
def test_a_conversation_goes_on_where_nobody_reads_it(talk: Path, tmp_path: Path, streams: str) -> None:
    trace = tmp_path / "t.jsonl"
    done = shell(
        f"(echo one; echo two) | (flowkit run {talk} --text --trace {trace}; echo $? >{tmp_path}/code) {streams}"
    )
    assert (tmp_path / "code").read_text() == "0\n", done.stderr
    info = shell(f"flowkit trace info {trace}")
    assert b"turns           2" in info.stdout, info.stdout


def test_without_standard_input_nothing_is_typed(talk: Path) -> None:
    done = shell(f"flowkit run {talk} --text --no-trace <&-")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"nothing was typed" in done.stderr


@pytest.mark.parametrize(
    "command", ["run {} --text --no-trace", "show {}", "graph {}", "schema", "check {} --format json"]
)
def test_a_full_disk_behind_standard_output_is_said(talk: Path, command: str) -> None:
    done = shell(f"echo hi | flowkit {command.format(talk)} >/dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == b"flowkit: standard output cannot be written: No space left on device"
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["schema", "providers", "explain"])
def test_a_reader_who_has_enough_is_no_error(command: str) -> None:
    done = shell(f"(flowkit {command}; echo $? >&2) | true")
    assert done.stderr == b"0\n"
