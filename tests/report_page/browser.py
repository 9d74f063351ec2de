"""Headless Chromium, for looking at a page and working its controls: a script of ours runs in the page and leaves its findings."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.chromium import chromium

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--enable-logging=stderr",
)

_BEFORE = """<script>window.wrong = []; onerror = (m) => wrong.push(String(m));
addEventListener("securitypolicyviolation", (e) => wrong.push("blocked: " + e.blockedURI));
console.error = console.warn = (...m) => wrong.push(m.join(" "));</script>"""
_AFTER = """<script>(async () => { const found = {drawn_ms: performance.now()};
try { %s } catch (e) { wrong.push(String(e)); }
found.wrong = wrong; const out = document.createElement("pre"); out.id = "found"; out.textContent = JSON.stringify(found);
document.body.append(out); })();</script>"""


def look(page: str, folder: Path, script: str, *, size: str = "1280,1600", shot: Path | None = None) -> dict[str, Any]:
    """Open `page`, run `script` in it (it fills the object `found`), and return what was found. `shot`: also a screenshot."""
    path = folder / "page.html"
    path.write_text(page.replace("<head>", "<head>" + _BEFORE).replace("</body>", _AFTER % script + "</body>"), "utf-8")
    common = [chromium(), *_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={size}"]
    patience = ["--virtual-time-budget=8000"]
    done = subprocess.run(
        [*common, *patience, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, f"the page's script did not finish: {done.stderr[-2000:]}"
    if shot is not None:
        subprocess.run(
            [*common, *patience, f"--screenshot={shot}", path.as_uri()], capture_output=True, timeout=120, check=True
        )
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    found["console"] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return found


OVERLAPS = Path(__file__).with_name("overlaps.js").read_text("utf-8")
"""A script that says what lies upon what: ``found.clashes = overlapping()``."""
