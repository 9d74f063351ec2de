"""What a process has that a provider could leave behind: threads at work, child processes, sockets."""

from __future__ import annotations

import gc
import glob
import os
import threading
from collections import Counter
from pathlib import Path

_IDLE = "Trio thread"
"""Trio keeps threads that have nothing to do for a few seconds, under this name."""


def present() -> Counter[str]:
    """All of them, by what they are, but for what only waits for the garbage collector. Children and sockets are seen on
    Linux only."""
    gc.collect()
    threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith(_IDLE)]
    return Counter([f"thread {name!r}" for name in threads] + _children() + _sockets())


def _children() -> list[str]:
    tasks = glob.glob(f"/proc/{os.getpid()}/task/*/children")
    return [f"process {_name(pid)}" for task in tasks for pid in _read(task).split()]


def _name(pid: str) -> str:
    return _read(f"/proc/{pid}/comm").strip() or pid


def _sockets() -> list[str]:
    links = [f"/proc/self/fd/{fd}" for fd in _listed("/proc/self/fd")]
    return ["socket" for link in links if os.path.islink(link) and _target(link).startswith("socket")]


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed since it was listed
        return ""


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # there is no /proc
        return []


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # gone since it was listed
        return ""
