"""The page of ``flowkit serve`` on loopback: its bytes, and how long Chromium takes to show it for the first time.

Each view is one of a fresh profile, which has nothing in its cache. Prints JSON; exit code 1 if a bound is not kept: 200 KB, and a
second in the slowest of the views.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.serve.page import ASSETS
from tests.serve.browser import browser
from tests.serve.programs import server

VIEWS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
MOST_BYTES, MOST_FIRST_VIEW_MS = 200_000, 1_000
SHOWN = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def size(url: str) -> int:
    total = 0
    for path in ("/", *(f"/page/{name}" for name in ASSETS)):
        with urlopen(url + path) as answer:
            total += len(answer.read())
    return total


def first_view_ms(url: str) -> float:
    # A process of the browser may still write into its profile.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, browser(Path(folder)) as page:
        page.open(url)
        shown: float = page.until(SHOWN)
        return round(shown, 1)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as address:
        url = address.removesuffix("/v1")
        found: dict[str, Any] = {"bytes": size(url)}
        views = sorted(first_view_ms(url) for _ in range(VIEWS))
        found["first_view_ms"] = {"median": views[len(views) // 2], "max": views[-1], "views": views}
    print(json.dumps(found))
    return int(found["bytes"] > MOST_BYTES or max(views) > MOST_FIRST_VIEW_MS)


if __name__ == "__main__":
    sys.exit(main())
