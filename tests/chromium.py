"""The browser of the tests that look at pages."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

_NAMES = ("chromium", "google-chrome", "chromium-browser")


@cache
def chromium() -> str:
    """The browser; installed with apt where there is none and this is allowed. Skips the test otherwise."""
    # One process at a time, because apt refuses the second.
    with (Path(tempfile.gettempdir()) / "flowkit-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(map(shutil.which, _NAMES)) and shutil.which("apt-get"):
            for command in ("update", "install -y chromium"):
                subprocess.run(["apt-get", *command.split()], capture_output=True, check=False, timeout=300)
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here, and apt-get cannot install it")
    return found
