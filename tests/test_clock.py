"""Times as people read them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowkit.clock import whole_ms

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("us", "shown"), [(0, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2), (2_500, 3)])
def test_half_a_millisecond_is_rounded_up_as_in_the_report_page(us: int, shown: int) -> None:
    """Python would round 0.5 and 2.5 down, to the even number, and JavaScript's Math.round up."""
    assert whole_ms(us) == shown


_OWN = re.compile(r":\.0f\} ms\b|// ?(?:1_?000|US_PER_MS)\} ms\b")


def test_milliseconds_for_people_are_rounded_in_one_place() -> None:
    sources = (ROOT / "flowkit").rglob("*.py")
    assert [path.name for path in sources if _OWN.search(path.read_text("utf-8"))] == []
