"""Lists what a provider could leave behind: running threads, child processes, sockets, open files, tasks."""

from __future__ import annotations

import gc
import glob
import os
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import trio

_IDLE = "Trio thread"
"""The name of Trio's idle threads, which Trio keeps for a few seconds."""
_GENERATOR = re.compile(r"Async generator '(?P<name>[^']+)' was garbage collected before it had been exhausted")
Ours = Callable[[threading.Thread], bool]


@contextmanager
def own_threads() -> Iterator[Ours]:
    """Yields a function that tells whether a thread was started from this thread or its descendants.

    Other threads are not the provider's. They belong to a server that the test runs, for example.
    """
    here = threading.current_thread()
    others = {thread for thread in threading.enumerate() if thread is not here and not _idle(thread)}
    begun_by: dict[threading.Thread, threading.Thread] = {}
    start = threading.Thread.start

    def started(thread: threading.Thread) -> None:
        begun_by[thread] = threading.current_thread()
        start(thread)

    def ours(thread: threading.Thread) -> bool:
        while thread in begun_by:
            thread = begun_by[thread]
        return thread not in others

    with patch.object(threading.Thread, "start", started):
        yield ours


def _idle(thread: threading.Thread) -> bool:
    return thread.name.startswith(_IDLE)


def present(ours: Ours) -> Counter[str]:
    """The threads, child processes, sockets and open files of this process, by description, after a garbage collection.

    Only threads for which `ours` is True are listed. All but threads are found only on Linux.
    """
    gc.collect()
    threads = [thread.name for thread in threading.enumerate() if ours(thread) and not _idle(thread)]
    return Counter([f"thread {name!r}" for name in threads] + _children() + _open())


@contextmanager
def left_generators() -> Iterator[list[str]]:
    """Yields a list that has, once the block is left, the async generators that were collected before they had ended.

    Trio warns of them when the garbage collector finds them. Other warnings are issued again.
    """
    names: list[str] = []
    with warnings.catch_warnings(record=True) as seen:
        # By default a second warning from the same place is not issued.
        warnings.simplefilter("always")
        yield names
        gc.collect()
    for warning in seen:
        if found := _GENERATOR.match(str(warning.message)):
            names.append(found["name"])
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    names[:] = sorted(set(names))


def tasks() -> set[trio.lowlevel.Task]:
    """All tasks of the running event loop."""
    found: set[trio.lowlevel.Task] = set()
    due = [task for task in [trio.lowlevel.current_root_task()] if task is not None]
    while due:
        task = due.pop()
        found.add(task)
        due += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def _children() -> list[str]:
    tasks = glob.glob(f"/proc/{os.getpid()}/task/*/children")
    return [f"process {_name(pid)}" for task in tasks for pid in _read(task).split()]


def _name(pid: str) -> str:
    return _read(f"/proc/{pid}/comm").strip() or pid


def _open() -> list[str]:
    """Sockets, and files by their folder, because the name of a temporary file says nothing."""
    targets = [_target(f"/proc/self/fd/{fd}") for fd in _listed("/proc/self/fd")]
    sockets = ["socket" for target in targets if target.startswith("socket")]
    plain = [target.removesuffix(" (deleted)") for target in targets if target.startswith("/")]
    files = [path for path in plain if not path.startswith(("/dev/", "/proc/", "/memfd:"))]
    return sockets + [f"open file in {os.path.dirname(path)}" for path in files]


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
