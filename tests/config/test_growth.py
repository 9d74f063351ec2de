"""Reading and judging a file costs in proportion to it: twice the input, twice the work, counted in calls, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from flowkit.config import read
from flowkit.config.problems import errors
from flowkit.plan import vet

EARS = """flowkit: 1
stages:
  - {kind: mic, provider: scripted}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted}
  - {kind: gate}
"""
VOICE = "  - {kind: chunker}\n  - {kind: tts, provider: scripted}\n  - {kind: speaker}\n"
WHOLE = EARS + "  - {kind: llm, provider: scripted}\n" + VOICE


def listed(line: str, n: int) -> str:
    return "".join(line.format(i) for i in range(n))


GROWING: dict[str, Callable[[int], str]] = {
    "stages": lambda n: "flowkit: 1\nstages:\n" + listed("  - {{kind: chunker, id: c{}}}\n", n),
    "stages of one id": lambda n: "flowkit: 1\nstages:\n" + "  - {kind: chunker}\n" * n,
    "failover": lambda n: (
        EARS + "  - kind: llm\n    provider: scripted\n    failover:\n" + "      - {provider: canned}\n" * n + VOICE
    ),
    "tests": lambda n: WHOLE + "tests:\n" + listed("  - {{name: t{}, chunker: {{feed: [a], expect: [a]}}}}\n", n),
    "assertions": lambda n: WHOLE + "tests:\n" + listed("  - {{name: t{}, expect: [{{what: turns, equals: 1}}]}}\n", n),
    "unknown keys": lambda n: WHOLE + listed("key{}: 1\n", n),
    "unset variables": lambda n: WHOLE + "name: '" + listed("${{V{}}}", n) + "'\n",
    "words to ignore": lambda n: WHOLE.replace("{kind: gate}", "{kind: gate, ignore: [" + listed("w{}, ", n) + "]}"),
    "rules to allow": lambda n: WHOLE.replace("kind: gate", "kind: gate, allow: [" + listed("FK{}, ", n) + "]"),
    "sources": lambda n: WHOLE.replace("kind: gate", "kind: gate, from: [" + listed("s{}, ", n) + "]"),
    "tools": lambda n: WHOLE + "tools:\n" + listed("  - {{name: t{}, call: 'a:b'}}\n", n),
    "keys that stand twice": lambda n: WHOLE + "name: x\n" * n,
    "comments": lambda n: WHOLE + "# x\n" * n,
    "text": lambda n: WHOLE + "name: '" + "x" * 100 * n + "'\n",
    "links": lambda n: WHOLE + "name: '" + "://a:b" * n + "'\n",
}


def calls(text: str) -> int:
    """How many functions are called, Python's and C's."""
    count = 0

    def called(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        vet(read("x.yaml", text=text))
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("written", GROWING.values(), ids=GROWING)
def test_twice_the_input_is_twice_the_work(written: Callable[[int], str]) -> None:
    calls(written(10))  # what is loaded once is loaded
    assert calls(written(600)) < 2.3 * calls(written(300)) + 2_000


def test_more_stages_than_a_trace_can_hold_are_refused() -> None:
    reading = read("x.yaml", text=GROWING["stages"](2_800))
    [problem] = [problem for problem in errors(reading.problems) if problem.code == "FK110"]
    assert str(problem) == "x.yaml:103:5: stages[100]: more than 100 stages (got 2800) [FK110]"
    assert not reading.whole


@pytest.mark.parametrize("digits", [40, 400, 4_000])
@pytest.mark.parametrize(
    "option", ["{kind: vad, provider: scripted, end: %ss}", "{kind: vad, provider: scripted, end: %s}"]
)
def test_a_duration_of_many_digits_is_one_error(digits: int, option: str) -> None:
    text = WHOLE.replace("{kind: vad, provider: scripted}", option % ("9" * digits))
    [problem] = errors(vet(read("x.yaml", text=text)).problems)
    assert problem.code in ("FK113", "FK114", "FK110")
    assert len(str(problem)) < 300
