"""Times as people read them."""

from __future__ import annotations

import pytest

from flowkit.clock import whole_ms


@pytest.mark.parametrize(("us", "shown"), [(0, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2), (2_500, 3)])
def test_half_a_millisecond_is_rounded_up_as_in_the_report_page(us: int, shown: int) -> None:
    """Python would round 0.5 and 2.5 down, to the even number, and JavaScript's Math.round up."""
    assert whole_ms(us) == shown
