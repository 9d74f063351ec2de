"""Runs collected tests.

An outcome depends only on its test, and outcomes come in the order of collection. So it does not matter where the tests
run.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from flowkit.chunker import Rules
from flowkit.clock import monotonic_us
from flowkit.config import Config
from flowkit.config.tests import Case
from flowkit.errors import FlowkitError
from flowkit.jobs import FEW, Workers, in_order
from flowkit.report.outcome import Finding, Outcome, Status
from flowkit.testing.cases import chunker_case
from flowkit.testing.suite.collect import Item, ItemKind
from flowkit.testing.suite.environment import refuse_unread
from flowkit.testing.suite.session import run_case
from flowkit.testing.suite.stored import config_of, place_and_words, stored_outcome
from flowkit.testing.suite.words import judged


def run(items: Sequence[Item], workers: Workers) -> Generator[Outcome, None, None]:
    """Yield the outcome of each item, in order, as soon as it is known. Raises WorkersError."""
    slow = sum(item.kind is not ItemKind.CHUNKER for item in items)
    where = Workers() if slow < FEW and not workers.cluster else workers
    return in_order(outcome_of, items, where, name=attrgetter("id"))


def outcome_of(item: Item) -> Outcome:
    """Run one test."""
    if item.kind is ItemKind.STORED:
        return stored_outcome(Path(item.path), item.root, corpus=item.corpus)
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
