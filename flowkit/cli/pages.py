"""Report pages of the stored traces that fail a test: the recording beside its replay as the test ran it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.errors import FlowkitError
from flowkit.files import PRIVATE, reserve, write_whole

if TYPE_CHECKING:
    from flowkit.report.outcome import Outcome
    from flowkit.testing.suite.collect import Item


def check_folder(folder: Path) -> None:
    """Raises OutputError if no page can be written into the folder."""
    reserve(folder / "page.html", mine="")


def write_pages(folder: Path, items: Iterable[Item], outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Write a page into the folder for each stored trace that failed. Yields notices: the pages, and what prevented
    one."""
    failed = {outcome.file: outcome for outcome in outcomes if str(outcome.status) == "failed"}
    taken: set[str] = set()
    for item in items:
        name = Path(item.path).name.removesuffix(".jsonl")
        outcome = failed.get(str(_expectations(item))) if item.kind == "stored" else None
        if outcome is None:
            continue
        # Traces of several folders may have the same name.
        while name in taken:
            name = f"{name}-again"
        taken.add(name)
        path = folder / f"{name}.html"
        try:
            _write(path, item, outcome)
        except FlowkitError as error:
            yield f"no page of {item.path}: {error}"
        else:
            yield f"{path}: {item.path} and its replay"


def _expectations(item: Item) -> Path:
    from flowkit.testing.suite.expectations import expectations_path

    return expectations_path(Path(item.path))


def _write(path: Path, item: Item, outcome: Outcome) -> None:
    from flowkit.cli.report import settings_of
    from flowkit.figures.layout import layout_of
    from flowkit.report.page import PAGE_MARK, ShownSession, of_trace, page
    from flowkit.testing.suite.expectations import read_expectations
    from flowkit.testing.suite.stored import replay_stored

    expectations = replace(read_expectations(_expectations(item)), root=item.root)
    stored = replay_stored(Path(item.path), expectations)
    replayed, plan = stored.replayed, stored.replayed.plan
    title = f"{replayed.report.trace}, replayed"
    shown = ShownSession(title, replayed.report, replayed.rows, layout_of(plan), settings=plan.settings)
    text = page([of_trace(stored.trace, settings_of(stored.trace)), shown], failure=outcome)
    # The page holds what people said, and their voices.
    write_whole(path, text, inputs=[*item.files()], mode=PRIVATE, mine=PAGE_MARK)
