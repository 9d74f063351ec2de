"""What a page shows of long sessions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowkit.errors import UsageError
from flowkit.report.page import LONGEST_HEARD_S, LONGEST_SHOWN_US, of_trace, page
from flowkit.trace.reader import read_trace

PLAIN = Path(__file__).parents[2] / "traces" / "plain-answer.jsonl"


def test_a_session_longer_than_a_day_is_no_page() -> None:
    subject = of_trace(read_trace(PLAIN))
    late = [row._replace(handled_us=row.handled_us + LONGEST_SHOWN_US) for row in subject.rows]
    with pytest.raises(UsageError, match="longer than a day"):
        page([replace(subject, rows=late)])


def test_a_session_longer_than_an_hour_has_no_sound() -> None:
    trace = read_trace(PLAIN)
    assert trace.end is not None
    assert of_trace(trace).user is not None
    long = tuple(sound._replace(samples=(LONGEST_HEARD_S + 1) * sound.rate_hz) for sound in trace.end.sounds)
    subject = of_trace(replace(trace, end=replace(trace.end, sounds=long)))
    assert subject.user is None
    assert subject.notices[0] == "the page has sound for sessions of up to an hour"
