"""``make mutants``: plants each change and says what catches it.

    python -m tests.mutants.run [WORDS OF A NAME...]

For each mutant a process of its own runs what ``flowkit test traces pipelines`` runs, then replays the kept traces exactly.
Prints a table, and writes ``out/mutants.json``. Exit code 1 if fewer are caught than promised.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.mutants.planted import FLOWKIT, MUTANTS, Mutant

ROOT = FLOWKIT.parent
LEAST_CAUGHT = 36
"""How many of the mutants ``flowkit test`` must catch."""
_LONGEST_S = 300


def planted(mutant: Mutant | None, folder: Path) -> dict[str, Any]:
    """What the tests and exact replays say of flowkit with this change, in a copy below `folder`."""
    copy = folder / (mutant.name.replace(" ", "-").replace("`", "") if mutant else "nothing")
    shutil.copytree(FLOWKIT, copy / "flowkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("traces", "pipelines"):
        shutil.copytree(ROOT / name, copy / name)
    if mutant is not None:
        (copy / "flowkit" / mutant.file).write_text(mutant.source(), "utf-8")
    paths = os.pathsep.join((str(copy), str(ROOT)))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.mutants.judge", str(copy)],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=copy, capture_output=True, text=True, timeout=_LONGEST_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"test": "does not end", "exact": {"stage": mutant.stage if mutant else ""}}
    finally:
        shutil.rmtree(copy)
    if done.returncode:
        broken = done.stderr.strip().splitlines()[-1]
        return {"test": f"breaks: {broken}", "exact": {"stage": mutant.stage if mutant else ""}}
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def line(mutant: Mutant, found: dict[str, Any]) -> str:
    """A row of the table."""
    exact = found["exact"]
    named = (
        "-" if exact is None else exact["stage"] + ("" if exact["stage"] == mutant.stage else f" (not {mutant.stage})")
    )
    return f"| {mutant.name} | {mutant.stage} | {found['test'] or '-'} | {named} |"


def main() -> int:
    """Plant the mutants whose names have these words, or all."""
    words = " ".join(sys.argv[1:])
    chosen = [mutant for mutant in MUTANTS if words in mutant.name]
    with tempfile.TemporaryDirectory() as folder:
        clean = planted(None, Path(folder))
        if clean["test"] or clean["exact"]:
            print(f"without any change: {clean}", file=sys.stderr)
            return 1
        workers = int(os.environ.get("WORKERS", "2"))
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(lambda mutant: planted(mutant, Path(folder)), chosen))
    print("| change | stage | caught by | exact replay names |\n|---|---|---|---|")
    for mutant, told in zip(chosen, found, strict=True):
        print(line(mutant, told))
    caught = sum(bool(told["test"]) for told in found)
    missed = [
        m.name
        for m, told in zip(chosen, found, strict=True)
        if not told["exact"] and not m.unseen and "end" not in (told["test"] or "")[:8]
    ]
    print(
        f"\n{caught} of {len(chosen)} caught by flowkit test; exact replay misses {missed or 'none that it could show'}"
    )
    for mutant in (mutant for mutant in chosen if mutant.unseen):
        print(f"exact replay cannot show: {mutant.name} ({mutant.unseen})")
    out = ROOT / "out" / "mutants.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps(
            [{"name": m.name, "stage": m.stage, **told} for m, told in zip(chosen, found, strict=True)], indent=1
        )
    )
    return int(len(chosen) == len(MUTANTS) and (caught < LEAST_CAUGHT or bool(missed)))


if __name__ == "__main__":
    raise SystemExit(main())
