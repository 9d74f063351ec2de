"""Runs one function on many items: in this process, in several processes, or on a Dask cluster.

The results come in the order of the items and do not depend on where they were computed. A job whose worker is lost
runs again. A job that has lost two workers is an error.

Reading order: ``pool`` (processes on this machine), then ``cluster`` (Dask).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 4
"""Fewer jobs than this run in one process, because they end before a second process would be ready."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Where jobs run: in `processes` processes of this machine, or on the Dask cluster whose scheduler is at
    `cluster`, such as ``tcp://10.0.0.7:8786``. One process means this one."""

    processes: int = 1
    cluster: str = ""


def in_order(
    job: Callable[[T], R], items: Sequence[T], workers: Workers, *, name: Callable[[T], str] = str
) -> Generator[R, None, None]:
    """Yield ``job(item)`` for each item, in order, each as soon as it and those before it are known.

    `job` is a function of a module. It, the items and the results are pickled. `name` names an item in errors. An
    exception of a job is raised in its place. Closing the generator ends the workers. Raises WorkersError.
    """
    if workers.cluster:
        from flowkit.jobs.cluster import on_cluster

        yield from on_cluster(job, items, workers.cluster, name)
    elif workers.processes > 1 and len(items) >= FEW:
        from flowkit.jobs.pool import in_processes

        yield from in_processes(job, items, workers.processes, name)
    else:
        yield from map(job, items)


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
