"""Whatever a trace and its audio contain, every use of it ends soon, with a result or with one of flowkit's errors.

A few hundred traces in CI, 100,000 with HYPOTHESIS_PROFILE=deep.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.errors import FlowkitError
from flowkit.replay.rerun import exactly
from flowkit.replay.simulate import simulate
from flowkit.report.page import of_trace, page
from flowkit.report.terminal import lines
from flowkit.trace import reader
from flowkit.trace.audio import read_sound
from flowkit.trace.rewrite import as_one_document, redact, repair
from tests.fuzz import traces
from tests.fuzz.test_config import DEEP, REMEMBERED, ROOT

EXAMPLES = int(os.environ.get("FLOWKIT_FUZZ_EXAMPLES", "25000" if DEEP else "30"))  # of each of the four tests
LIMIT_S = 2.0
"""Of the processor's time, for one trace."""

DICE = st.randoms(use_true_random=False)
SEED = st.integers(0, 3)


@cache
def seeds() -> list[Path]:
    """Valid traces, recorded once."""
    return traces.record_seeds(Path(tempfile.mkdtemp(prefix="flowkit-fuzz-")))


def judge(content: bytes, folder: Path, dice: Random) -> None:
    """Read the trace, and use it in one of the ways that flowkit knows."""
    path = folder / "a.jsonl"
    path.write_bytes(content)
    began_s = time.process_time()
    for use in (_read, dice.choice((_exactly, _simulated, _report, _repaired, _redacted, _exported))):
        try:
            use(path)
        except FlowkitError:
            pass
    took_s = time.process_time() - began_s
    assert took_s < LIMIT_S, f"{took_s:.1f} s"


def _read(path: Path) -> None:
    trace = reader.read_trace(path)
    assert len(trace.rows()) == trace.row_count
    for sound in trace.end.sounds if trace.end else ():
        try:
            read_sound(path, sound)
        except FlowkitError:
            continue


def _exactly(path: Path) -> None:
    exactly(path).report.to_json()


def _simulated(path: Path) -> None:
    simulate(path).report.to_json()


def _report(path: Path) -> None:
    subject = of_trace(reader.read_trace(path))
    page([subject])
    lines(subject.report, subject.rows, subject.layout, subject.reference, {}, width=100)


def _repaired(path: Path) -> None:
    """A repaired trace is complete."""
    if repair(reader.read_trace(path), out := path.with_name("repaired.jsonl")) is not None:
        assert reader.read_trace(out).notices == ()


def _redacted(path: Path) -> None:
    redact(reader.read_trace(path), out := path.with_name("redacted.jsonl"), ())
    reader.read_trace(out).rows()


def _exported(path: Path) -> None:
    as_one_document(reader.read_trace(path))


def _folder_with(seed: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="flowkit-fuzz-") as name:
        for path in seed.parent.iterdir():
            shutil.copyfile(path, Path(name) / path.name)
        yield Path(name)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_taken_apart_goes_together_again(seed: int) -> None:
    """Otherwise the searches would find only the same error again and again."""
    trace = traces.taken_apart(seeds()[seed])
    traces.seal(trace)
    for folder in _folder_with(seeds()[seed]):
        whole = reader.read_trace(folder / "a.jsonl")
        (folder / "a.jsonl").write_bytes(traces.put_together(trace))
        assert reader.read_trace(folder / "a.jsonl") == whole


@settings(max_examples=EXAMPLES)
@given(SEED, DICE, st.integers(1, 3), st.booleans())
def test_other_values(seed: int, dice: Random, changes: int, sealed: bool) -> None:
    trace = traces.taken_apart(seeds()[seed])
    for _ in range(changes):
        traces.change_value(trace, dice)
    if sealed:
        traces.seal(trace)
    for folder in _folder_with(seeds()[seed]):
        judge(traces.put_together(trace), folder, dice)


@settings(max_examples=EXAMPLES)
@given(SEED, DICE, st.integers(1, 3), st.booleans())
def test_other_lines(seed: int, dice: Random, changes: int, whole: bool) -> None:
    trace = traces.taken_apart(seeds()[seed])
    for _ in range(changes):
        traces.change_lines(trace, dice)
    content = traces.put_together(trace)
    for folder in _folder_with(seeds()[seed]):
        judge(content if whole else traces.scratch(content, dice), folder, dice)


@settings(max_examples=EXAMPLES)
@given(SEED, SEED, DICE)
def test_two_traces_in_one(seed: int, other: int, dice: Random) -> None:
    mixed = traces.taken_apart(seeds()[seed])
    for span in traces.taken_apart(seeds()[other]):
        if dice.randrange(2):
            mixed.insert(dice.randrange(len(mixed) + 1), span)
    trace_id = traces._span(mixed[0].line)["traceId"]
    for span in mixed:
        if dice.randrange(8):
            traces._span(span.line)["traceId"] = trace_id
    traces.seal(mixed)
    for folder in _folder_with(seeds()[seed]):
        judge(traces.put_together(mixed), folder, dice)


@settings(max_examples=EXAMPLES)
@given(SEED, DICE)
def test_other_sounds(seed: int, dice: Random) -> None:
    trace = traces.taken_apart(seeds()[seed])
    for folder in _folder_with(seeds()[seed]):
        traces.change_sound(trace, folder, dice)
        judge(traces.put_together(trace), folder, dice)


def test_memory_stays_small() -> None:
    """Other processes read as many inputs. In this one, the imports of other tests would count.

    There is a new one after some inputs, since Hypothesis remembers all that it has drawn.
    """
    script = "import tests.conftest; from tests.fuzz.test_traces import search; search()"
    left = max(1, EXAMPLES // 4)
    while left > 0:
        environ = os.environ | {"FLOWKIT_FUZZ_EXAMPLES": str(min(left, REMEMBERED))}
        seen = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environ
        )
        assert int(seen.stdout) < 200 * 1024
        left -= REMEMBERED


def search() -> None:
    """Run all searches, one after another, and print the peak memory of this process in KiB."""
    for test in (test_other_values, test_other_lines, test_two_traces_in_one, test_other_sounds):
        test()
    print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
