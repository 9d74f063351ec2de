"""Reads pip's output: shows the progress, and explains a failure in one line.

It must run on any Python from 3.6 on (see setup.py), so it uses no newer syntax.
"""

import re
from typing import List, Optional, TextIO

CONNECTION_WORDS = r"Retrying \(|NewConnection|NameResolution|Read timed out|ProxyError|ConnectionError|SSLError"
FULL_DISK_WORDS = r"No space left on device|Errno 28|Disk quota exceeded|Errno 122"
RETRY = "then run make again"


class Progress:
    """Reads pip's output line by line and shows a counter of packages and of downloaded megabytes.

    On a terminal the counter stays on one line. Elsewhere every 20th package gives a line, so that a log stays short.
    `total` starts as the number of pins in the lock. Packages that pip ignores on this platform are subtracted.
    """

    def __init__(self, total: int, out: TextIO) -> None:
        self.total = total
        self.begun = 0
        self.megabytes = 0.0
        self._out = out

    def feed(self, line: str) -> None:
        size = re.search(r"Downloading \S+ \(([\d.]+) ([kM])B\)", line)
        if size:
            self.megabytes += float(size.group(1)) * (1.0 if size.group(2) == "M" else 0.001)
        elif line.startswith("Ignoring "):
            self.total -= 1
        elif re.match(r"(Collecting|Processing|Requirement already satisfied)", line):
            self.begun += 1
            self._count(line)
        elif line.startswith("Installing collected packages"):
            self._show("unpacking %d packages, %.0f MB fetched; about half a minute" % (self.begun, self.megabytes))

    def close(self) -> None:
        if self._out.isatty():
            self._out.write("\r\033[K")

    def _count(self, line: str) -> None:
        if self._out.isatty() or self.begun % 20 == 0:
            words = "%d of %d packages, %.0f MB fetched" % (self.begun, self.total, self.megabytes)
            self._show(words + (": " + package(line) if self._out.isatty() else ""))

    def _show(self, words: str) -> None:
        start, end = ("\r\033[K", "") if self._out.isatty() else ("", "\n")
        self._out.write(start + "setup: " + words + end)
        self._out.flush()


def package(line: str) -> str:
    """The package in a line such as `Collecting name==1.0 (from ...)` or `Processing /path/name-1.0.whl`."""
    word = line.split()[1] if len(line.split()) > 1 else "a package"
    return word.rsplit("/", 1)[-1]


def explain(lines: List[str], python: str) -> str:
    """Explain in one line why pip or venv failed, and what to do. `python` is a name such as "Python 3.11"."""
    text = "\n".join(lines)
    if re.search(FULL_DISK_WORDS, text):
        return "the disk is full: free about 2 GB where the project lies (or set TMPDIR if /tmp is full), " + RETRY
    if re.search(r"ensurepip is not|No module named '?(venv|ensurepip)", text):
        name = python.lower().replace(" ", "")
        return "%s has no venv module: install it (Debian, Ubuntu: apt install %s-venv), %s" % (python, name, RETRY)
    if "DO NOT MATCH THE HASHES" in text:
        wrong = _after(lines, "DO NOT MATCH THE HASHES")
        return "%s from your package index is not the file that requirements.lock names (wrong hash)" % wrong
    return _unavailable(lines, text, python)


def _unavailable(lines: List[str], text: str, python: str) -> str:
    missing = re.search(r"No matching distribution found for (\S+)", text)
    wanted = missing.group(1) if missing else _last_begun(lines)
    if re.search(CONNECTION_WORDS, text):
        why = "the package index does not answer; check the network and `pip config list`"
        return "cannot fetch %s: %s, %s" % (wanted, why, RETRY)
    if missing:
        why = "the package index has no file of it for %s on this machine; check `pip config list`" % python
        return "cannot fetch %s: %s" % (wanted, why)
    status = re.search(r"HTTP error (\d+)|(\d{3}) (?:Client|Server) Error", text)
    if status:
        return "cannot fetch %s: the package index answers HTTP %s" % (wanted, status.group(1) or status.group(2))
    errors = [line for line in lines if line.lower().startswith("error")] or [line for line in lines if line.strip()]
    return "pip failed at %s: %s" % (wanted, errors[-1].strip() if errors else "it said nothing")


def _last_begun(lines: List[str]) -> str:
    begun = [package(line) for line in lines if re.match(r"(Collecting|Processing) ", line)]
    return begun[-1] if begun else "the packages"


def _after(lines: List[str], words: str) -> str:
    """The first package after the line with `words`, where pip writes it indented as `name==1.0 from URL:`."""
    found: Optional[str] = None
    for line in lines:
        if found == "" and re.match(r"\s+\S+==\S+", line):
            return line.split()[0]
        if words in line:
            found = ""
    return "a package"
