"""Jobs on a Dask cluster (extra ``dask``). The scheduler runs the jobs of a lost worker again elsewhere.

The workers read the same files under the same names, so they share a file system with this machine, and they must hold
the same flowkit. Both are checked in each job, because workers come and go.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from contextlib import chdir
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import flowkit
from flowkit.errors import WorkersError
from flowkit.jobs.answer import JobAnswer, answered
from flowkit.secrets import learn_environment

T = TypeVar("T")
R = TypeVar("R")

_CONNECT_S = 10
_LOOK_S = 2
"""How often the workers are counted while a result is late."""
_WITHOUT_S = 30
"""How long a cluster may have no worker. A new one takes a few seconds to start."""
_SAME = "install the same flowkit on all machines"


class _Here(NamedTuple):
    """What a worker must have in common with this process."""

    folder: str
    version: str


def on_cluster(
    job: Callable[[T], R], items: Sequence[T], address: str, name: Callable[[T], str]
) -> Generator[R, None, None]:
    """See ``in_order``. Raises WorkersError if no scheduler answers at `address`, if its workers do not fit, or if there
    are none."""
    client = _client(address)
    try:
        _check_versions(client)
        here = _Here(os.getcwd(), _version())
        # Not pure: a job may write files, so an earlier result does not stand in for it.
        futures = client.map(partial(_run, job, here), items, pure=False)
        for future, item in zip(futures, items, strict=True):
            yield _answer(client, future, name(item)).unwrap()
            future.release()
    finally:
        # The scheduler forgets the jobs of a client that leaves. A job that runs already comes to its end.
        client.close()


def _client(address: str) -> Any:
    try:
        from distributed import Client
        from distributed.versions import VersionMismatchWarning
    except ImportError as error:
        hint = "install it with: pip install 'flowkit-voice[dask]'"
        raise WorkersError(f"--dask needs the package distributed ({error})", hint=hint) from error
    try:
        with warnings.catch_warnings():
            # The versions are compared below, and that is an error.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            connect: Any = Client
            return connect(address, timeout=_CONNECT_S, set_as_default=False, name="flowkit")
    except (OSError, ValueError) as error:
        hint = "start one with: dask scheduler; it prints its address, such as tcp://10.0.0.7:8786"
        raise WorkersError(f"no Dask scheduler answers at {address}", hint=hint) from error


def _check_versions(client: Any) -> None:
    """Raise WorkersError if Python or Dask differs between this process, the scheduler and a worker."""
    found = client.get_versions()
    sides = {"the scheduler": found["scheduler"], **{f"worker {at}": told for at, told in found["workers"].items()}}
    for side, told in sides.items():
        for package in ("python", "distributed"):
            ours, theirs = (known["packages"].get(package) for known in (found["client"], told))
            if ours != theirs:
                raise WorkersError(
                    f"{side} has {package} {theirs}, and this machine {ours}", hint="use the same on all machines"
                )


def _answer(client: Any, future: Any, name: str) -> JobAnswer:
    from distributed import KilledWorker

    try:
        answer: JobAnswer = pickle.loads(_waited(client, future))
    except KilledWorker as error:
        lost = error.allowed_failures + 1
        raise WorkersError(f"{name}: its worker ended {lost} times", hint="see the workers' logs") from error
    except (CancelledError, OSError) as error:
        raise WorkersError(f"the connection to the Dask scheduler is lost ({error})") from error
    except ModuleNotFoundError as error:
        raise WorkersError(f"a worker of the cluster cannot run flowkit: {error}", hint=_SAME) from error
    return answer


def _waited(client: Any, future: Any) -> bytes:
    without_s = 0
    while True:
        try:
            done: bytes = future.result(timeout=_LOOK_S)
        except TimeoutError:
            without_s = 0 if client.nthreads() else without_s + _LOOK_S
        else:
            return done
        if without_s >= _WITHOUT_S:
            raise WorkersError(
                "the Dask cluster has no workers", hint="start some with: dask worker ADDRESS --nthreads 1"
            )


# -- on the worker -----------------------------------------------------------------------------------------------------

_ONE_AT_A_TIME = threading.Lock()
"""A worker may have many threads, but a process has one current folder. Jobs compute, so threads gain nothing."""


def _run(job: Callable[[Any], Any], here: _Here, item: Any) -> bytes:
    with _ONE_AT_A_TIME:
        learn_environment(os.environ)
        try:
            _check(here)
        except WorkersError as error:
            return pickle.dumps(JobAnswer(error=error))
        with chdir(here.folder):
            return answered(job, item)


def _check(here: _Here) -> None:
    """Raise WorkersError if this worker has another flowkit, or not the folder."""
    machine = socket.gethostname()
    if here.version != _version():
        raise WorkersError(
            f"the worker on {machine} has flowkit {_version()}, and the command is {here.version}", hint=_SAME
        )
    if not os.path.isdir(here.folder):
        raise WorkersError(
            f"the worker on {machine} has no folder {here.folder}",
            hint="the workers need the same files under the same names, for example on a shared file system",
        )


@cache
def _version() -> str:
    """The version, with a digest of the sources: between two releases, the version alone says little."""
    package = Path(flowkit.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return f"{flowkit.__version__} ({digest.hexdigest()[:8]})"
