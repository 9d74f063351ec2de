"""The errors of services: what an HTTP status becomes."""

from __future__ import annotations

import pytest

from flowkit.providers.cloud.faults import Trouble, of_status


@pytest.mark.parametrize(
    ("status", "what", "headers", "said", "trouble"),
    [
        (503, "overloaded", {"retry-after": "1"}, "HTTP 503: overloaded (retry after 1 s)", Trouble.SERVER),
        (401, "", {}, "HTTP 401", Trouble.AUTH),
        (400, "maximum context length is 8192 tokens", {}, "HTTP 400: maximum context", Trouble.LENGTH),
    ],
)
def test_an_http_status_is_an_error_with_the_providers_name_in_front(
    status: int, what: str, headers: dict[str, str], said: str, trouble: Trouble
) -> None:
    error = of_status(status, what, headers, title="llm mine")
    assert str(error).startswith(f"llm mine: {said}")
    assert str(of_status(status, what, headers)).startswith(said)
    assert (error.trouble, error.status) == (trouble, status)
