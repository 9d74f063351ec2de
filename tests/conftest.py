"""What all tests share: how hard Hypothesis searches.

Profile `ci` is the default and repeatable; HYPOTHESIS_PROFILE=deep (`make deep`) draws new examples, and many.
No deadline in either: the machines that run this are shared, and a slow example is no bug.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from flowkit import secrets

settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=10_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands behave in CI's own run of the tests as anywhere; a test of what CI changes sets it."""
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture(autouse=True)
def _nothing_is_secret() -> Iterator[None]:
    """What one test learnt is masked in no other."""
    yield
    secrets.forget()
