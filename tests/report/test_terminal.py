"""``flowkit run`` in a real terminal, captured with tmux at two sizes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


_NOT_OURS = frozenset({"TMUX", "NO_COLOR", "COLUMNS", "LINES"})
"""What a test runner says of its own terminal is not true of this one."""


class Terminal:
    """A tmux server of the test's own with one window."""

    def __init__(self, folder: Path, width: int, height: int, command: str) -> None:
        self._socket = str(folder / "tmux")
        size = ["-x", str(width), "-y", str(height)]
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-s", "one", *size, f"cd '{ROOT}' && {command}; echo code $?; cat"
        )

    def shown(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "one")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", "-t", "one", *keys)

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        environ = {key: value for key, value in os.environ.items() if key not in _NOT_OURS} | {"LC_ALL": "C.UTF-8"}
        command = ["tmux", "-u", "-S", self._socket, *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False).stdout


def until(terminal: Terminal, wanted: str, seconds: float = 40) -> list[str]:
    """Every different screen up to the one that shows `wanted`."""
    screens: list[str] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        screen = terminal.shown()
        if not screens or screens[-1] != screen:
            screens.append(screen)
        if re.search(wanted, screen):
            return screens
        time.sleep(0.1)  # a terminal tells nobody that it has changed
    raise AssertionError("\n".join(screens[-1:]))


def command(*options: str) -> str:
    return " ".join([f"'{sys.executable}' -m flowkit run pipelines/scripted.yaml --output /dev/null", *options])


@tmux
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_nothing_wraps_and_nothing_jumps(tmp_path: Path, width: int, height: int) -> None:
    output = tmp_path / "reply.wav"
    run = command("--turns 1 --duration 12s").replace("/dev/null", f"'{output}'")
    terminal = Terminal(tmp_path, width, height, run)
    try:
        screens = until(terminal, r"code \d")
    finally:
        terminal.close()
    live = [screen.splitlines() for screen in screens if "●" in screen and "code" not in screen]
    whole = 0
    for lines in live:
        heads = [i for i, line in enumerate(lines) if "●" in line]
        assert len(heads) == 1, "\n".join(lines)
        rules = [i - heads[0] for i, line in enumerate(lines) if line.startswith("─" * (width - 1))]
        # A screen may be looked at while it is drawn, from the top down.
        assert rules == [2, 8, 13][: len(rules)], "\n".join(lines)
        whole += len(rules) == 3
    assert whole > 0.75 * len(live)
    last = screens[-1]
    assert "code 0" in last
    assert re.search(r"turn 1: \w+, first audio after \d+ ms", last)


@tmux
def test_ctrl_c_ends_the_picture_in_order(tmp_path: Path) -> None:
    output = tmp_path / "reply.wav"
    terminal = Terminal(tmp_path, 80, 24, command().replace("/dev/null", f"'{output}'"))
    try:
        until(terminal, "● (listening|hearing)")
        terminal.press("C-c")
        assert "code 130" in until(terminal, r"code \d", 15)[-1]
    finally:
        terminal.close()
    assert output.stat().st_size >= 44


def test_without_a_terminal_lines_are_plain_even_if_a_picture_is_asked_for(tmp_path: Path) -> None:
    arguments = [
        sys.executable,
        "-m",
        "flowkit",
        "run",
        "pipelines/scripted.yaml",
        "--output",
        str(tmp_path / "reply.wav"),
    ]
    arguments += ["--format", "rich", "--turns", "1", "--duration", "12s"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "●" not in done.stdout
    assert re.search(r"^ +\d+\.\d{3}  user", done.stdout, re.MULTILINE)
