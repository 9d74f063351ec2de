"""Lists what a provider could leave behind in a process: running threads, child processes, sockets."""

from __future__ import annotations

import gc
import glob
import os
import threading
from collections import Counter
from pathlib import Path

_IDLE = "Trio thread"
"""The name of Trio's idle threads, which Trio keeps for a few seconds."""


def present() -> Counter[str]:
    """The threads, child processes and sockets of this process, by description, after a garbage collection.

    Child processes and sockets are found only on Linux.
    """
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
