"""Builds the documentation as a site in out/site/, offline once its packages are there. Run it with `make docs`.

The packages of the site have a lock and an environment of their own (.venv-docs/), so that nobody who only runs or tests
flowkit has to install them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "tools" / "docs.lock"
ENVIRONMENT = ROOT / ".venv-docs"
PYTHON = ENVIRONMENT / "bin" / "python"


def main() -> int:
    """Build the site, and ask its search what readers ask.

    Returns 1 for a dead link, a page that is in no menu, and a question to which the wrong page comes first.
    """
    set_up()
    done = subprocess.run(
        [PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", "tools/mkdocs.yml"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    if done.returncode == 0:
        done = ask_the_search()
    if done.returncode == 0:
        # Not the file itself: browsers let no page of a folder read its search index.
        print("docs: python -m http.server -d out/site, then open http://localhost:8000/")
    return done.returncode


def ask_the_search() -> subprocess.CompletedProcess[bytes]:
    """Ask the built index, in Node. Without it, say that nothing was asked."""
    node = shutil.which("node")
    if node is None:
        print("docs: the search is not checked: there is no Node (`node`) on this machine", file=sys.stderr)
        return subprocess.CompletedProcess([], 0)
    return subprocess.run([node, "tools/site_search.mjs", "out/site"], cwd=ROOT, check=False)


def set_up() -> None:
    """Install the packages of the lock, unless they are there. Raises CalledProcessError."""
    stamp, wanted = ENVIRONMENT / "flowkit-docs.stamp", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    print("docs: an environment in .venv-docs/, once", file=sys.stderr)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "--requirement", str(LOCK)], check=True)
    stamp.write_text(wanted, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
