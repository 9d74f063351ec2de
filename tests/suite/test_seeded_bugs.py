"""Each planted bug is caught twice: by the public strategies, and by a stored trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from flowkit.errors import FlowkitError
from flowkit.report.outcome import Outcome, Status
from flowkit.testing.session_machine import check_session
from flowkit.testing.strategies import Conversation, conversations
from flowkit.testing.suite.stored import stored_outcome
from tests.suite.seeded import SEEDED

ROOT = Path(__file__).parents[2]
ENOUGH = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
CAUGHT_BY = {
    "no epoch check": "busy",
    "no drain": "busy",
    "a skipped flush": "busy",
    "relative pacing": "busy",
    "an unbounded queue": "busy",
    "one clause lost": "busy",
    "a swapped order": "busy",
}


def stored(name: str, folder: Path) -> Outcome:
    """The outcome of a stored trace, tested in a new folder, because a failure writes a file beside it."""
    for path in (f"traces/{name}.jsonl", f"traces/{name}.expect.yaml", f"pipelines/{name}.yaml"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes((ROOT / path).read_bytes())
    return stored_outcome(folder / "traces" / f"{name}.jsonl", str(folder))


@pytest.mark.parametrize("bug", SEEDED)
def test_the_public_strategies_catch(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @ENOUGH
    @given(conversations())
    def every_promise_is_kept(conversation: Conversation) -> None:
        check_session(conversation)

    SEEDED[bug](monkeypatch)
    with pytest.raises((AssertionError, FlowkitError, ExceptionGroup)):
        every_promise_is_kept()


@pytest.mark.parametrize("bug", SEEDED)
def test_a_stored_trace_catches(bug: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    SEEDED[bug](monkeypatch)
    outcome = stored(CAUGHT_BY[bug], tmp_path)
    assert outcome.status is Status.FAILED
    assert outcome.findings


@pytest.mark.parametrize("name", sorted(set(CAUGHT_BY.values())))
def test_without_a_bug_the_trace_passes(name: str, tmp_path: Path) -> None:
    assert stored(name, tmp_path).status is Status.PASSED


def test_the_list_in_the_documentation_is_this_one() -> None:
    page = (ROOT / "docs" / "internals" / "seeded-bugs.md").read_text("utf-8")
    for bug, trace in CAUGHT_BY.items():
        assert f"| {bug} |" in page
        assert f"`traces/{trace}.jsonl`" in page
