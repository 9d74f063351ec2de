"""The failure of a call as text."""

from __future__ import annotations

import pytest

from flowkit.errors import ProviderError
from flowkit.providers.answers import failure
from flowkit.providers.base import Surroundings
from flowkit.providers.printing import Print


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ProviderError("tts print: no paper"), "print: no paper"),
        (ProviderError("no paper", hint="add some"), "print: no paper (add some)"),
        (ValueError("tts print: no paper"), "print: ValueError: tts print: no paper"),
        (ExceptionGroup("", [ProviderError("tts print: no paper")]), "print: no paper"),
    ],
)
def test_a_failure_names_its_provider_once(error: Exception, what: str) -> None:
    around = Surroundings(16_000, 20_000, lambda: 0, lambda line: None)
    assert failure(Print(Print.Options(), around), error).what == what
