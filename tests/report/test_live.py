"""The live view, drawn from a real session onto terminals of several sizes: nothing wraps, nothing jumps."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from rich.console import Console

from flowkit.config import load
from flowkit.messages import Play
from flowkit.plan import Plan, require
from flowkit.report.captured import captured_stderr
from flowkit.report.live import LiveView
from flowkit.report.live_state import SILENT_DB, LevelMeter, Loudness, SpokenClause
from flowkit.runtime.host import run_alone
from tests.trace.tool_sessions import bistro

TEXT = """
flowkit: 1
name: {name}
budgets: {{ttfa: {{max: 700ms}}}}
stages:
  - {{kind: mic, provider: scripted, speech: [{{at: 300ms, lasts: 800ms}}, {{at: 3s, lasts: 900ms}}]}}
  - {{kind: vad, provider: scripted}}
  - {{kind: asr, provider: scripted, utterances: ["{question}", "And of Spain?"]}}
  - {{kind: gate}}
  - kind: llm
    provider: scripted
    replies: [{{text: "The capital of France is Paris.\\n\\nIt lies on the Seine, and is worth a journey."}}]
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker, provider: memory}}
"""


def plan(name: str = "claimed", question: str = "What is the capital of France?") -> Plan:
    return require(load("claimed.yaml", text=TEXT.format(name=name, question=question), environ={}))


def pictures(width: int, height: int, drawn: Plan) -> list[list[str]]:
    """A session's pictures, five a second, as lines of text."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    view = LiveView(drawn, console=console)
    shown: list[list[str]] = []

    def take() -> None:
        paper = Console(file=io.StringIO(), width=width, height=height, color_system=None)
        paper.print(view.picture())
        assert isinstance(paper.file, io.StringIO)
        shown.append(paper.file.getvalue().splitlines())

    take()
    watch(drawn, view, take)
    take()
    return shown


def watch(drawn: Plan, view: LiveView, take: Callable[[], object]) -> None:
    """Run a session, and call `take` five times a second meanwhile."""

    async def whole() -> None:
        async def look() -> None:
            while True:
                take()
                await trio.sleep(0.2)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await run_alone(
                drawn, notice=view.say, observers=(view.state,), duration_us=6_000_000, started=view.started
            )
            nursery.cancel_scope.cancel()

    trio.run(whole, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (100, 30)])
def test_the_picture_fits_and_never_changes_its_height(width: int, height: int) -> None:
    shown = pictures(width, height, plan())
    assert {len(lines) for lines in shown} == {len(shown[0])}
    assert len(shown[0]) < height
    assert max(len(line) for lines in shown for line in lines) <= width
    states = [match[1] for lines in shown if (match := re.search(r"● (\w+)", lines[0]))]
    assert len(states) == len(shown)
    # One state follows another without flickering: the turns of the script, in their order.
    changes = [states[0], *(after for before, after in itertools.pairwise(states) if after != before)]
    assert changes[0] == "loading"
    in_order = [state for state in changes[1:] if state != "concluding"]  # too short for every picture to meet it
    assert in_order[:5] == ["listening", "hearing", "thinking", "speaking", "hearing"]


def test_the_picture_tells_what_happens() -> None:
    last = "\n".join(line for lines in pictures(80, 24, plan()) for line in lines)
    assert "What is the capital of France?" in last
    assert "The capital of France is Paris. It lies on the Seine" in re.sub(r"\s+", " ", last)
    assert "first audio" in last
    assert "budget 700 ms" in last
    assert "over: ttfa" in last
    assert "interrupted" in last
    assert re.search(r"speaker \d+/\d+", last)


def test_the_picture_tells_which_tools_run_and_for_how_long() -> None:
    shown = pictures(80, 24, require(load("bistro.yaml", text=bistro(), environ={})))
    assert {len(lines) for lines in shown} == {len(shown[0])}
    told = [line.split()[1:] for lines in shown for line in lines if line.startswith("tools ")]
    assert len(told) == len(shown)
    running = [" ".join(words) for words in told if words]
    assert running[:3] == ["look 0.2 s book 0.2 s", "look 0.4 s book 0.4 s", "look 0.6 s book 0.6 s"]
    assert running[3:] == ["book 0.8 s", "book 1.0 s", "book 1.2 s", "book 1.4 s"]
    assert told[-1] == []


def test_the_picture_tells_what_the_session_has_cost_so_far_where_prices_are_given() -> None:
    priced = TEXT.replace(
        "provider: scripted\n    replies", "provider: scripted\n    price: {{output: 500}}\n    replies"
    )
    shown = pictures(80, 24, require(load("priced.yaml", text=priced.format(name="priced", question="?"), environ={})))
    assert {len(lines) for lines in shown} == {len(shown[0])}
    told = [line for lines in shown for line in lines if line.startswith("cost ")]
    assert len(told) == len(shown)
    amounts = [float(line.split()[1]) for line in told]
    assert amounts == sorted(amounts)
    assert (amounts[0], amounts[-1] > 0.005) == (0, True)
    assert re.search(r"cost +0\.\d+ USD, 0\.\d+ USD a minute.* llm 0\.\d+", told[-1])
    assert not any(line.startswith("cost ") for lines in pictures(80, 24, plan()) for line in lines)


def test_names_and_lines_that_are_too_long_are_cut_not_wrapped() -> None:
    shown = pictures(80, 24, plan("n" * 60, "word " * 60 + "end"))
    assert {len(lines) for lines in shown} == {len(shown[0])}
    assert max(len(line) for lines in shown for line in lines) <= 80
    assert any("…" in line and line.rstrip().endswith("end") for lines in shown for line in lines)


def test_the_spoken_part_of_a_clause_follows_the_device() -> None:
    spoken = SpokenClause("ten letters", rate_hz=1_000, samples=1_100)
    spoken.starts.append((0, 0, 600))
    assert [spoken.characters(at_us) for at_us in (0, 300_000, 600_000, 900_000)] == [0, 3, 6, 6]
    spoken.starts.append((2_000_000, 600, 500))
    assert spoken.characters(2_500_000) == 11


def test_levels_rise_at_once_and_fall_slowly() -> None:
    level = LevelMeter()
    level.hear(b"\xff\x7f" * 10)
    assert level.db > -0.1
    level.hear(b"\0\0" * 10)
    assert -3 < level.db < -1
    loudness = Loudness()
    loudness.plays(Play(1_000_000, 0, 0, 1_600, 16_000, 0, b"\xff\x3f" * 1_600))
    assert loudness.db(900_000) == SILENT_DB
    assert -7 < loudness.db(1_050_000) < -5
    loudness.silenced(1_000_000)
    assert loudness.db(1_050_000) == SILENT_DB


def test_what_libraries_print_goes_into_the_log_and_stderr_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    said: list[str] = []
    with captured_stderr(said.append):
        os.write(2, b"from C\nand more\n")
    os.write(2, b"behind it\n")
    assert said == ["from C", "and more"]
    assert capfd.readouterr().err == "behind it\n"


def test_an_observation_tells_as_data_what_the_picture_shows() -> None:
    drawn = plan()
    view = LiveView(drawn)
    told: list[dict[str, Any]] = []
    watch(drawn, view, lambda: told.append(view.state.observed(view._now_us(), 5).to_json()))
    last = json.loads(json.dumps(told[-1]))
    assert (last["pipeline"], last["tools"], last["budgets"]["ttfa_ms"]) == ("claimed", None, 700)
    assert last["newest"]["over"] == ["ttfa 860 ms > 700ms"]
    assert sum(last["newest"]["parts_ms"].values()) == last["newest"]["ttfa_ms"] == 860
    assert [interrupt["turn"] for interrupt in last["interrupts"]] == [1]
    assert 0 < last["interrupts"][0]["speech_to_silence_ms"] < 500
    assert len(last["log"]) == 5
    (queue,) = [queue for queue in last["queues"] if queue["stage"] == "tts"]
    assert queue["max"] == 3
    states = {str(one["turn"]) for one in told}
    assert {"loading", "listening", "hearing", "thinking", "speaking"} <= states
    spoken = [sum(clause["spoken"] for clause in one["clauses"]) for one in told]
    assert max(spoken) > 20
