"""Jobs in several processes of this machine.

``concurrent.futures`` gives up the whole pool with its first lost process, and cannot say whose job that was. Here each
process has a pipe and answers each job, so the job it was at is known.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from flowkit.errors import WorkersError
from flowkit.jobs.answer import JobAnswer, answered
from flowkit.secrets import learn_environment

T = TypeVar("T")
R = TypeVar("R")

_SHARES = 8
"""How many shares of the jobs each process gets, one after another. With few, one with slow jobs would leave the other
processes idle at the end."""
_LOSSES = 2
"""A job that has lost this many workers is given up."""


def in_processes(
    job: Callable[[T], R], items: Sequence[T], processes: int, name: Callable[[T], str]
) -> Generator[R, None, None]:
    """See ``in_order``."""
    pool = _Pool(job, items, min(processes, len(items)), name)
    try:
        for number in range(len(items)):
            yield pool.answer(number).unwrap()
    finally:
        pool.end()


class _Pool:
    """The processes, the shares that wait for one, and the answers that wait for those before them."""

    def __init__(
        self, job: Callable[[Any], Any], items: Sequence[Any], processes: int, name: Callable[[Any], str]
    ) -> None:
        self._job = job
        self._items = items
        self._name = name
        size = max(1, len(items) // (_SHARES * processes))
        self._waiting = deque(deque(range(len(items))[at : at + size]) for at in range(0, len(items), size))
        self._answers: dict[int, JobAnswer] = {}
        self._losses: Counter[int] = Counter()
        self._context = _context(job)
        self._workers = [_Worker(self._context, job) for _ in range(processes)]

    def answer(self, number: int) -> JobAnswer:
        """The answer to job `number`."""
        while number not in self._answers:
            for worker in self._workers:
                if not worker.share and self._waiting:
                    worker.give(self._waiting.popleft(), self._items)
            busy = {worker.pipe: worker for worker in self._workers if worker.share}
            for pipe in wait(list(busy)):
                self._hear(busy[pipe])  # type: ignore[index]
        return self._answers.pop(number)

    def _hear(self, worker: _Worker) -> None:
        try:
            answer: JobAnswer = worker.pipe.recv()
        except (EOFError, OSError):
            self._lost(worker)
        else:
            self._answers[worker.share.popleft()] = answer

    def _lost(self, worker: _Worker) -> None:
        """Replace a lost worker. It was at the first job of its share; the others did not run yet."""
        worker.end()
        share, first = worker.share, worker.share[0]
        self._losses[first] += 1
        if self._losses[first] == _LOSSES:
            self._answers[share.popleft()] = JobAnswer(error=self._given_up(first, worker))
        if share:
            self._waiting.appendleft(share)
        self._workers[self._workers.index(worker)] = _Worker(self._context, self._job)

    def _given_up(self, number: int, worker: _Worker) -> WorkersError:
        return WorkersError(
            f"{self._name(self._items[number])}: its process ended {_LOSSES} times ({worker.how_it_ended()})",
            hint="run it alone, with -j 1; it may need more memory than there is",
        )

    def end(self) -> None:
        """End all processes, at once."""
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process that runs one share of jobs at a time. `share` holds the numbers of those without an answer."""

    def __init__(self, context: multiprocessing.context.ForkServerContext, job: Callable[[Any], Any]) -> None:
        self.share: deque[int] = deque()
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, share: deque[int], items: Sequence[Any]) -> None:
        """Give the worker its next share."""
        self.share = share
        # If it is gone already, the next read says so.
        with suppress(OSError):
            self.pipe.send([items[number] for number in share])

    def how_it_ended(self) -> str:
        """Such as ``SIGKILL``, or ``exit code 1``."""
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """End the process, wait until it is gone, and close its pipe."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _context(job: Callable[[Any], Any]) -> multiprocessing.context.ForkServerContext:
    """A fork server, because a fork would copy the locks that threads hold. It imports once what all workers need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, job.__module__])
    with _no_module_of_the_current_folder():
        forkserver.ensure_running()
    return context


@contextmanager
def _no_module_of_the_current_folder() -> Iterator[None]:
    """Let new Python processes find modules where this one does, but never in the current folder, which may not be
    trusted."""
    kept = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


# -- in the worker -----------------------------------------------------------------------------------------------------


def _serve(pipe: Connection, job: Callable[[Any], Any]) -> None:
    """JobAnswer the jobs of one share after another, until the pipe is closed."""
    # A Ctrl-C reaches every process of the terminal. The one that started us ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    learn_environment(os.environ)
    # The other side may end without a word, and then nobody wants the answers.
    with suppress(EOFError, OSError):
        while True:
            for item in pipe.recv():
                pipe.send_bytes(answered(job, item))
