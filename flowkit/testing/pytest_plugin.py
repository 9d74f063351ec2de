"""The pytest plugin: ``pytest --flowkit traces/ pipelines/`` runs the tests that ``flowkit test`` runs. Three fixtures
help with tests of your own.

    def test_paris(flowkit_replay):
        report = flowkit_replay("traces/paris.jsonl", "stages.chunker.max_tokens=20")
        assert report.turns[0].ttfa_us < 900_000

    def test_a_reply(scripted_session):
        engine = scripted_session(llm={"replies": [{"text": "Paris."}]}, mic={"speech": [{"at": "0s", "lasts": "1s"}]})
        assert engine.finished == "input_ended"

    def test_my_provider(virtual_clock):
        virtual_clock(my_async_function)        # trio.run, where an hour of sleep takes no time

The entry point ``pytest11`` loads it. Without ``--flowkit`` it collects nothing and imports nothing of flowkit. It
works with pytest-xdist, where each test is an item, and with pytest-trio and Hypothesis.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flowkit.engine import Engine
    from flowkit.figures.report import Report
    from flowkit.report.outcome import Outcome
    from flowkit.testing.suite import Item


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--flowkit``."""
    group = parser.getgroup("flowkit")
    group.addoption(
        "--flowkit",
        action="store_true",
        help="also collect tests of pipeline files (.yaml) and of stored traces (.jsonl)",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A collector for a pipeline file or a trace, if ``--flowkit`` is given."""
    if not parent.config.getoption("--flowkit") or file_path.suffix.lower() not in (".yaml", ".yml", ".json", ".jsonl"):
        return None
    from flowkit.config.discover import is_pipeline

    # The trace is collected too, and the test would run twice.
    if file_path.name.endswith(".expect.yaml") and file_path.with_name(file_path.name[:-12] + ".jsonl").exists():
        return None
    if not file_path.name.endswith((".jsonl", ".expect.yaml")) and not is_pipeline(file_path):
        return None
    collector: pytest.Collector = FlowkitFile.from_parent(parent, path=file_path)
    return collector


class FlowkitFile(pytest.File):
    """A pipeline file or a stored trace."""

    def collect(self) -> Iterator[pytest.Item]:
        """The tests of the file. An error in the file is an item that fails."""
        from flowkit.testing.suite import collect

        found = collect([str(self.path)])
        for outcome in found.wrong:
            yield FlowkitItem.from_parent(self, name=outcome.name, known=outcome)
        for item in found.items:
            yield FlowkitItem.from_parent(self, name=item.name, item=item)


class FlowkitItem(pytest.Item):
    """One test of a pipeline file or a trace."""

    def __init__(self, *, item: Item | None = None, known: Outcome | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self._item = item
        self._known = known
        self.obj = self.runtest
        """Plugins for asynchronous tests, such as pytest-trio, read this attribute of every item."""

    def runtest(self) -> None:
        """Run the test. A failure is reported as ``flowkit test`` reports it."""
        from flowkit.report.outcome import Status
        from flowkit.testing.suite import outcome_of

        outcome = self._known
        if self._item is not None:
            outcome = outcome_of(self._item)
        assert outcome is not None
        if outcome.status is not Status.PASSED:
            raise FailedTest(outcome)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings, the changes, and the command that repeats the test. Other exceptions are shown as pytest shows
        them."""
        from flowkit.printable import printable

        if isinstance(excinfo.value, FailedTest):
            outcome = excinfo.value.outcome
            lines = [*map(str, outcome.findings), *map(str, outcome.changes), f"again: {outcome.again}"]
            return printable("\n".join(lines))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The file, the line and the name of the test."""
        line = self._item.line if self._item is not None else self._known.line if self._known is not None else 1
        return self.path, line - 1, f"flowkit: {self.name}"


class FailedTest(AssertionError):
    """A test of a pipeline file or a trace did not pass. `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome


# -- fixtures ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def flowkit_replay() -> Callable[..., Report]:
    """``flowkit_replay(trace, *settings, pipeline=None)`` replays a recorded session and returns its figures.

    `settings` change the configuration as with ``--set``, and `pipeline` is a pipeline file to use instead of the
    recorded configuration. Raises FlowkitError if the trace cannot be replayed.
    """
    from flowkit.replay.simulate import simulate

    def replay(trace: str | Path, *settings: str, pipeline: str | None = None) -> Report:
        return simulate(Path(trace), pipeline=pipeline, overrides=settings).report

    return replay


@pytest.fixture(scope="session")
def scripted_session() -> Callable[..., Engine]:
    """``scripted_session(**stages)`` runs a session of scripted fakes in virtual time, checks its promises and returns
    the engine.

    Each keyword is a stage's kind, and its value holds the stage's keys in a pipeline file
    (``flowkit.testing.sessions.scripted_plan``).
    """
    from flowkit.testing.evidence import Evidence
    from flowkit.testing.invariants import check
    from flowkit.testing.sessions import heap_session, scripted_plan

    def session(**stages: Any) -> Engine:
        plan = scripted_plan(**stages)
        evidence = Evidence(plan)
        engine = heap_session(plan, evidence)
        check(evidence)
        return engine

    return session


@pytest.fixture(scope="session")
def virtual_clock() -> Callable[..., Any]:
    """``virtual_clock(function, *args)`` is ``trio.run`` with a clock that jumps to the next deadline when all tasks
    wait."""
    import trio
    from trio.testing import MockClock

    def run(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return trio.run(function, *args, clock=MockClock(autojump_threshold=0))

    return run
