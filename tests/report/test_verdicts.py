"""Whether a change is good for the user."""

from __future__ import annotations

import pytest

from flowkit.report.markdown import markdown
from flowkit.report.outcome import Change, ChangeVerdict, Outcome, Status, verdicts


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (Change(1, "ttfa", "640 ms", "840 ms", 200.0), ChangeVerdict.WORSE),
        (Change(1, "ttfa", "640 ms", "440 ms", -200.0), ChangeVerdict.BETTER),
        (Change(1, "ttfa", "640 ms", "none"), ChangeVerdict.WORSE),
        (Change(1, "ttfa", "none", "640 ms"), ChangeVerdict.BETTER),
        (Change(1, "ttfa", "640 ms", "840 ms", 200.0, modelled=True), ChangeVerdict.UNSURE),
        (Change(1, "turn", "there", "gone", odds="in 12 of 20"), ChangeVerdict.UNSURE),
        (Change(1, "turn", "there", "gone"), ChangeVerdict.WORSE),
        (Change(1, "end_reason", "'completed'", "'interrupted'"), ChangeVerdict.WORSE),
        (Change(1, "end_reason", "'interrupted'", "'completed'"), ChangeVerdict.BETTER),
        (Change(0, "interrupts", "2", "10"), ChangeVerdict.WORSE),
        (Change(0, "interrupts", "2", "1"), ChangeVerdict.BETTER),
        (Change(1, "endpointing", "300 ms", "500 ms", 200.0), ChangeVerdict.OTHER),
        (Change(1, "clauses", "a", "b"), ChangeVerdict.OTHER),
    ],
)
def test_what_a_change_means(change: Change, verdict: ChangeVerdict) -> None:
    assert change.verdict is verdict


def test_the_summary_counts_them_for_each_call() -> None:
    changes = (Change(1, "ttfa", "640 ms", "840 ms", 200.0), Change(2, "ttfa", "640 ms", "440 ms", -200.0))
    calls = [
        Outcome("a", "a.expect.yaml", 1, Status.FAILED, changes=changes, corpus=True),
        Outcome("b", "b.expect.yaml", 1, Status.PASSED, corpus=True),
    ]
    assert verdicts(calls[0]) == {
        ChangeVerdict.BETTER: 1,
        ChangeVerdict.WORSE: 1,
        ChangeVerdict.UNSURE: 0,
        ChangeVerdict.OTHER: 0,
    }
    text = markdown(calls)
    assert "2 calls, 1 as approved" in text
    assert "| a | 1 | 1 | 0 | 0 |" in text
    assert "calls," not in markdown([Outcome("c", "c.yaml", 1, Status.PASSED)])
