"""One virtual sound card for all tests that need one, or the reason why it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devices.card import Card, virtual_card, why_not


@pytest.fixture(scope="session")
def card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Card]:
    if reason := why_not():
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("card")
    with virtual_card(folder) as running:
        yield running
