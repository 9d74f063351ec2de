"""Helpers of the providers' tests, beyond the public kit: recordings, and skipping tests whose models are not
installed."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import pytest

from flowkit.providers.base import Provider
from flowkit.providers.registry import missing
from flowkit.testing.provider import FRAME_BYTES, FRAME_US, RATE_HZ, Answers, FakeSession, PacedItems, answer, frames

AUDIO = Path(__file__).parents[2] / "pipelines" / "audio"


def recorded(name: str) -> bytes:
    """The samples of one of the project's own recordings."""
    with wave.open(str(AUDIO / name)) as file:
        return file.readframes(file.getnframes())


def installed(*classes: type[Provider]) -> Any:
    """Skips a test whose models are not installed, and says which."""
    lacking = [module for cls in classes for module in missing(cls)]
    return pytest.mark.skipif(bool(lacking), reason=f"not installed: {', '.join(lacking)}")


__all__ = [
    "AUDIO",
    "FRAME_BYTES",
    "FRAME_US",
    "RATE_HZ",
    "Answers",
    "FakeSession",
    "PacedItems",
    "answer",
    "frames",
    "installed",
    "recorded",
]
