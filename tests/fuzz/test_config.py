"""Whatever a file contains, reading it ends soon, without a traceback, and every problem has a place.

500 inputs in CI, 100,000 with HYPOTHESIS_PROFILE=deep.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config import Outside, Unset, read
from flowkit.config.load import decode, read_text
from flowkit.config.problems import Problem
from flowkit.config.render import FORMATS, render
from flowkit.plan import vet
from flowkit.plan.show import show
from tests.config.fakes import FAKE
from tests.config.helpers import BASE
from tests.plan.test_graph_checks import SPOKEN

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EXAMPLES = int(os.environ.get("FLOWKIT_FUZZ_EXAMPLES", "20000" if DEEP else "100"))  # of each of the five tests
ROOT = Path(__file__).parents[2]
REMEMBERED = 250
"""Examples of each test that one process draws where its memory is measured."""
LIMIT_S = 2.0
"""Of the processor's time, in both ways."""

_KEYS = """
    flowkit stages name defaults include interrupt budgets trace shutdown tools tests kind provider id from queue max when_full
    failover allow first_token_timeout idle_timeout retry circuit release speech_for min_words ignore history ttfa parts p50
    max_tokens mode first comma_after never_split speak end threshold api_key speed voice text system feed expect chunker call
"""
_WORDS = """
    mic vad asr gate llm chunker tts speaker echo patient scripted canned print robot absent silero block drop_oldest error
    unbounded reply clause asr_final 200ms 1.5s 5 true yes FK203 FK999 ${A} ${A:-3} ${B} ${A ${file:x} $$ .inf .nan m:f
"""
KEYS = st.sampled_from(_KEYS.split())
WORDS = st.sampled_from(_WORDS.split())
SCALARS = st.one_of(WORDS, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5),
    max_leaves=25,
)
STAGES = st.lists(
    st.dictionaries(KEYS, TREES, max_size=4).flatmap(
        lambda keys: st.tuples(WORDS, WORDS).map(lambda words: {"kind": words[0], "provider": words[1], **keys})
    ),
    max_size=6,
)
PIPELINES = st.builds(
    lambda stages, top: {"flowkit": 1, "stages": stages, **top}, STAGES, st.dictionaries(KEYS, TREES, max_size=3)
)


SCRATCHES = st.sampled_from([bytes([b]) for b in b"{}[]:-?#&*!|>%@`~,'$\"\\\n\r\t a1\x00\xff"]) | st.binary(max_size=3)
SETTINGS = st.builds(
    "{}={}".format, st.sampled_from(["name", "stages.llm.text", "stages.0", "trace.audio"]), st.text(max_size=10)
)


def judge(raw: bytes) -> None:
    """Read and judge in both ways, write the findings in every form, and show what can be shown."""
    # After many examples, to collect Hypothesis's own garbage takes seconds, which would count as the loader's.
    gc.disable()
    started = time.process_time()
    for unset in Unset:
        problems: list[Problem] = []
        source = decode(raw, "x.yaml", None, problems)
        if source is None:
            assert problems
            continue
        outside = Outside(environ={"A": "2s"}, unset=unset)
        reading = read_text(source, (), outside, FAKE, problems)
        verdict = vet(reading, installed=False)
        for problem in verdict.problems:
            assert problem.mark.line >= 1
            assert problem.mark.column >= 1
            assert problem.code.startswith("FK")
        for form in FORMATS:
            render(verdict.problems, form, terminal=True)
        if verdict.plan is not None:
            show(reading.config, verdict.plan, origin=True)
    lasted_s = time.process_time() - started
    gc.enable()
    assert lasted_s < LIMIT_S


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=2000))
def test_any_bytes(raw: bytes) -> None:
    judge(raw)


@settings(max_examples=EXAMPLES)
@given(st.sampled_from([BASE, SPOKEN]), st.data())
def test_a_pipeline_with_scratches(text: str, data: st.DataObject) -> None:
    raw = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(SCRATCHES)
    judge(bytes(raw))


@settings(max_examples=EXAMPLES)
@given(TREES)
def test_any_tree(tree: Any) -> None:
    judge(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace"))


@settings(max_examples=EXAMPLES)
@given(PIPELINES, st.booleans())
def test_any_pipeline(tree: Any, as_json: bool) -> None:
    text = json.dumps(tree) if as_json else yaml.safe_dump(tree, sort_keys=False)
    judge(text.encode("utf-8", "replace"))


@settings(max_examples=EXAMPLES)
@given(st.lists(st.text(max_size=30) | SETTINGS, max_size=3))
def test_any_setting(overrides: list[str]) -> None:
    reading = read("x.yaml", text=BASE, overrides=overrides, catalog=FAKE)
    render(vet(reading, installed=False).problems, "full", terminal=True)


def test_memory_stays_small() -> None:
    """Other processes read as many inputs. In this one, the imports of other tests would count.

    There is a new one after some inputs, since Hypothesis remembers all that it has drawn.
    """
    script = "import tests.conftest; from tests.fuzz.test_config import search; search()"
    left = max(1, EXAMPLES // 4)
    while left > 0:
        environ = os.environ | {"FLOWKIT_FUZZ_EXAMPLES": str(min(left, REMEMBERED))}
        seen = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environ
        )
        assert int(seen.stdout) < 200 * 1024
        left -= REMEMBERED


def search() -> None:
    """Run all five searches, one after another, and print the peak memory of this process in KiB."""
    for test in (test_any_bytes, test_a_pipeline_with_scratches, test_any_tree, test_any_pipeline, test_any_setting):
        test()
    # Not getrusage: across fork and exec its peak is inherited from the process that started this one.
    print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
