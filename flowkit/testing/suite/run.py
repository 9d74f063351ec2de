"""Runs collected tests in several processes.

An outcome depends only on its test, and outcomes come in the order of collection. So the number of processes does not
affect the results.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from flowkit.chunker import Rules
from flowkit.clock import monotonic_us
from flowkit.config import Config
from flowkit.config.tests import Case
from flowkit.errors import FlowkitError
from flowkit.report.outcome import Finding, Outcome, Status
from flowkit.testing.cases import chunker_case
from flowkit.testing.suite.collect import Item, ItemKind
from flowkit.testing.suite.environment import refuse_unread
from flowkit.testing.suite.session import run_case
from flowkit.testing.suite.stored import config_of, place_and_words, stored_outcome
from flowkit.testing.suite.words import judged

_FEW = 4
"""Fewer slow tests than this run in one process, because they end before a second process would be ready."""


def run(items: Sequence[Item], workers: int) -> Iterator[Outcome]:
    """Yield the outcome of each item, in order, as soon as it is known."""
    slow = sum(item.kind is not ItemKind.CHUNKER for item in items)
    if workers < 2 or slow < _FEW:
        yield from map(outcome_of, items)
        return
    # A fork server, because a fork would copy the locks that threads hold. It imports once what all workers need.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with _no_module_of_the_current_folder():
        forkserver.ensure_running()
    # Several chunks for each worker, so that slow tests in one of them do not leave the other workers idle.
    chunk = max(1, len(items) // (8 * workers))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(outcome_of, items, chunksize=chunk)


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


def default_workers() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def outcome_of(item: Item) -> Outcome:
    """Run one test."""
    if item.kind is ItemKind.STORED:
        return stored_outcome(Path(item.path), item.root)
    started_us = monotonic_us()
    again = f"flowkit test {shlex.quote(item.id)}"
    try:
        config = config_of(item.path, env=item.env)
        case = config.top.tests[item.number]
        found, level, modelled = (_chunked if item.kind is ItemKind.CHUNKER else _session)(config, case, item)
    except FlowkitError as error:
        file, line, what = place_and_words(error, item.path, item.line)
        finding = Finding(what, file, line)
        return Outcome(item.name, item.path, item.line, Status.ERROR, (finding,), again=again)
    status = Status.FAILED if found else Status.PASSED
    outcome = Outcome(
        item.name, item.path, item.line, status, tuple(found), again=again, level=level, modelled_share=modelled
    )
    return replace(outcome, wall_us=monotonic_us() - started_us)


def _chunked(config: Config, case: Case, item: Item) -> tuple[list[Finding], str, float]:
    assert case.chunker is not None
    stage = next((stage for stage in config.stages if stage.kind == "chunker"), None)
    if stage is not None:
        refuse_unread(stage.node, item.env)
    rules = stage.options.rules() if stage is not None and hasattr(stage.options, "rules") else Rules()
    result = chunker_case(case.name, case.chunker.feed, case.chunker.expect, rules)
    found = [] if result.passed else [Finding("\n".join(["other clauses:", *result.diff()]), item.path, item.line)]
    return found, "chunker", 0.0


def _session(config: Config, case: Case, item: Item) -> tuple[list[Finding], str, float]:
    report = run_case(Path(item.path), case, env=item.env, root=item.root).report
    tests: Any = config.root.get("tests")
    lines = [node.mark.line for node in tests.items[item.number].get("expect").items]
    found = [Finding(what, item.path, lines[index]) for index, what in judged(case.expect, report)]
    return found, report.level, report.modelled_share
