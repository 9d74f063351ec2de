"""What a replay does with tools: the recorded outcomes at their recorded delays, unless the tools are really called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowkit import trust
from flowkit.cli import main
from flowkit.errors import FlowkitError
from flowkit.messages import ToolCall, ToolOutcome
from flowkit.replay.live_tools import simulate_with_tools
from flowkit.replay.simulate import Replayed, simulate
from flowkit.samples import restaurant
from flowkit.trace.reader import read_trace
from tests.trace.tool_sessions import bistro, record_as_real

OTHER = """
import trio

called = []

async def book(people: int) -> str:
    '''Book a table.'''
    called.append(people)
    await trio.sleep(0.03)
    return "table 9"

def look(time: str) -> str:
    '''Look.'''
    raise ValueError("the book is lost")
"""


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trust, "_allowed", set())
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "bistro").mkdir()
    (tmp_path / "bistro" / "tables.py").write_text(OTHER)
    monkeypatch.delitem(sys.modules, "bistro", raising=False)
    monkeypatch.delitem(sys.modules, "bistro.tables", raising=False)
    return record_as_real(tmp_path / "a.jsonl", bistro())


def calls(replayed: Replayed) -> list[tuple[str, str, str]]:
    return [(call.name, call.status, call.content) for call in replayed.report.tools]


def test_a_replay_takes_the_recorded_outcomes_and_calls_nothing(trace: Path) -> None:
    replayed = simulate(trace, overrides=("stages.vad.end=700ms",))
    assert calls(replayed) == [("look", "error", "full"), ("book", "result", "table 7")]
    assert [call.took_us for call in replayed.report.tools] == [700_000, 1_500_000]
    assert "bistro.tables" not in sys.modules
    assert not [notice for notice in replayed.report.notices if "assumed" in notice]


def test_a_filler_may_be_changed_in_a_replay(trace: Path) -> None:
    def fillers(replayed: Replayed) -> list[int]:
        turn, call = replayed.report.turns[0], replayed.report.tools[0]
        return [clause.t_us - call.t_us for clause in turn.clauses if clause.reason == "filler"]

    assert fillers(simulate(trace)) == [500_000]
    assert fillers(simulate(trace, overrides=(f"{SAY}=900ms",))) == [900_000]


def test_live_tools_are_called_and_their_own_time_counts(trace: Path) -> None:
    trust.allow("bistro")
    replayed = simulate_with_tools(read_trace(trace))
    assert calls(replayed) == [("look", "error", "the book is lost"), ("book", "result", "table 9")]
    book = replayed.report.tools[1]
    assert 30_000 <= (book.took_us or 0) < 1_500_000
    assert sys.modules["bistro.tables"].called == [2]  # type: ignore[attr-defined]
    assert replayed.report.level == "what_if"
    assert any("2 tool calls were really made" in notice for notice in replayed.report.notices)
    assert any("assumed" in notice for notice in replayed.report.notices), "the reply was to other outcomes"


def test_a_replay_prints_each_call_and_its_outcome(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> list[list[str]]:
        return [line.split(maxsplit=2)[1:] for line in capsys.readouterr().out.splitlines() if "  tool " in line]

    assert main(["replay", str(trace)]) == 0
    look, book = ["tool", 'look {"time": "19:30"}'], ["tool", 'book {"people": 2}']
    assert told() == [look, book, ["tool", "look: error full"], ["tool", "book: result table 7"]]
    assert main(["replay", str(trace), "--live-tools", "--allow-tools"]) == 0
    assert told() == [look, book, ["tool", "look: error the book is lost"], ["tool", "book: result table 9"]]


def test_without_permission_no_tool_is_called(trace: Path) -> None:
    with pytest.raises(FlowkitError, match="bistro"):
        simulate_with_tools(read_trace(trace))
    assert main(["replay", str(trace), "--live-tools"]) == 2
    assert "bistro.tables" not in sys.modules
    assert main(["replay", str(trace), "--live-tools", "--allow-tools"]) == 0
    assert "bistro.tables" in sys.modules


SAY = "stages.tools.tools.0.say_after.after"


def test_a_tool_that_hangs_times_out_as_in_a_session(trace: Path) -> None:
    trust.allow("bistro")
    replayed = simulate_with_tools(read_trace(trace), overrides=("stages.tools.tools.0.timeout=20ms", f"{SAY}=10ms"))
    assert calls(replayed)[1] == ("book", "timeout", "book took longer than 20 ms.")


def test_a_pipeline_without_tools_has_none_to_call(tmp_path: Path) -> None:
    from tests.suite.stage import project

    path = project(tmp_path, "a")
    with pytest.raises(FlowkitError, match="no tools to call"):
        simulate_with_tools(read_trace(path.parent / "a.jsonl"))


def test_changed_arguments_are_assumed_and_take_the_outcome_of_the_same_tool() -> None:
    from flowkit.messages import RunTools
    from flowkit.replay.material import RecordedCall
    from flowkit.replay.recorded import RecordedTools

    call = RecordedCall("tools", RunTools(), 0, [(900_000, 900_000, ToolOutcome("call_1", "result", "table 7"))])
    tools = RecordedTools([call], [(400_000, ToolCall("call_1", "book", '{"people": 2}'))])
    fed = tools.open(RunTools()).fed
    assert list(fed(ToolCall("call_5", "book", '{"people": 3}'))) == [
        (500_000, ToolOutcome("call_5", "result", "table 7"))
    ]
    assert tools.assumed == ['tool book {"people": 3}: was recorded with other arguments']
    assert list(fed(ToolCall("call_6", "book", '{"people": 2}'))) == []
    assert tools.assumed[1:] == ['tool book {"people": 2}: has no outcome in the trace']


def test_the_restaurants_book_knows_the_replays_calls_from_the_recorded_ones(tmp_path: Path) -> None:
    text = bistro().replace("bistro.tables:book", "flowkit.samples.restaurant:book_table")
    text = text.replace("bistro.tables:look", "flowkit.samples.restaurant:free_tables")
    text = text.replace("name: look", "name: free_tables").replace("after: look", "after: free_tables")
    text = text.replace("name: book,", "name: book_table,").replace('"people": 2}', '"people": 2, "time": "19:30"}')
    restaurant._booked.clear()
    path = record_as_real(tmp_path / "a.jsonl", text)
    replayed = simulate_with_tools(read_trace(path))
    assert [status for _, status, _ in calls(replayed)] == ["result", "result"]
    ((key, booked),) = restaurant._booked.items()
    assert booked == ("19:30", 2)
    assert key.startswith(f"{read_trace(path).head.session_id}-replay")
