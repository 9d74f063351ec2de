"""Runs in the process of a mutant: what the tests and the exact replays of the traces below a folder say. Prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from flowkit.errors import FlowkitError
from flowkit.replay.compare import row_line
from flowkit.replay.rerun import exactly
from flowkit.report.outcome import Status
from flowkit.testing.suite import collect
from flowkit.testing.suite.run import outcome_of


def tested(root: Path) -> tuple[str, list[str]]:
    """The first test that fails, and what it says; empty if none does."""
    found = collect([str(root / "traces"), str(root / "pipelines")]).items
    # The smallest first, because most mutants show in any of them.
    for item in sorted(found, key=lambda item: Path(item.path).stat().st_size):
        outcome = outcome_of(item)
        if outcome.status is not Status.PASSED:
            return outcome.name, [*map(str, outcome.findings), *outcome.notices][:8]
    return "", []


def exact(root: Path) -> dict[str, str | None] | None:
    """The first difference of an exact replay, by stage, with the row then and now."""
    for path in sorted((root / "traces").glob("*.jsonl"), key=lambda path: path.stat().st_size):
        try:
            found = exactly(path).difference
        except FlowkitError as error:
            return {"trace": path.stem, "stage": "", "what": str(error)}
        if found is not None:
            rows = {"recorded": found.recorded and row_line(found.recorded), "now": found.now and row_line(found.now)}
            return {"trace": path.stem, "stage": found.stage, "what": found.what, **rows}
    return None


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    name, said = tested(folder)
    print(json.dumps({"test": name, "said": said, "exact": exact(folder)}))
