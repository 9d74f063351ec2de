"""A sweep gives the same bytes wherever it runs, and its front is what no other setting beats."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.calls.sweep import OBJECTIVES, SweptPoint, SweptStanding, points_of, sweep, with_front
from flowkit.cli import main
from flowkit.errors import UsageError
from flowkit.jobs import Workers
from flowkit.replay.simulate import prepare
from tests.calls.support import talk

TRACES = Path(__file__).parents[2] / "traces"


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("a=1,2,3", ["1", "2", "3"]),
        ("a=[x, y],[z]", ["[x, y]", "[z]"]),
        ("a='b,c',d", ["'b,c'", "d"]),
        ("a=200ms..500ms/100ms", ["200ms", "300ms", "400ms", "500ms"]),
        ("a=0.5s..1s/250ms", ["500ms", "750ms", "1s"]),
        ("a=1..7/3,9", ["1", "4", "7", "9"]),
    ],
)
def test_values_of_a_setting(given: str, values: list[str]) -> None:
    assert points_of([given]) == [(f"a={value}",) for value in values]


def test_every_combination_is_tried() -> None:
    assert points_of(["a=1,2", "b=3,4"]) == list(product(["a=1", "a=2"], ["b=3", "b=4"]))


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=500ms..200ms/100ms", "a=1..5/0", "a=1..9999999/1,2"])
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        points_of([text, "b=1,2"])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_the_front_is_what_no_other_beats(rows: list[tuple[int, int, int]]) -> None:
    points = [SweptPoint((str(n),), dict(zip(OBJECTIVES, row, strict=True)), 0) for n, row in enumerate(rows)]
    for point, row in zip(with_front(points, OBJECTIVES), rows, strict=True):
        beaten = any(other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in rows)
        assert point.standing is (SweptStanding.BEATEN if beaten else SweptStanding.FRONT)


def test_a_setting_without_sound_is_no_fast_one() -> None:
    silent, slow = ({"ttfa.p50": ms, "interrupted": 0, "requests": 1} for ms in (None, 900.0))
    found = with_front([SweptPoint(("a",), silent, 0), SweptPoint(("b",), slow, 0)], OBJECTIVES)
    assert [one.standing for one in found] == [SweptStanding.BEATEN, SweptStanding.FRONT]


def test_faults_are_in_every_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = str(talk(tmp_path / "a.jsonl", ["One.", "Two."]))
    line = ["sweep", trace, "--set", "stages.vad.end=200ms,300ms", "-j", "1", "--worlds", "0", "--format", "json"]
    assert main(line) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*line, "--fault", "tts: slow by 400ms"]) == 0
    slow = json.loads(capsys.readouterr().out)
    assert (plain["faults"], slow["faults"]) == ([], ["tts: slow by 400ms"])
    for one, other in zip(plain["points"], slow["points"], strict=True):
        assert other["ttfa.p50"] - one["ttfa.p50"] == 400
    assert main([*line, "--fault", "llm: fail in turn 3"]) == 2
    assert "hits nothing in any trace" in capsys.readouterr().err


def test_what_cannot_be_judged_is_not_compared() -> None:
    fast, slow = ({"ttfa.p50": ms, "interrupted": 0, "requests": 1} for ms in (100.0, 900.0))
    points = [SweptPoint(("a",), fast, 0, SweptStanding.UNJUDGED), SweptPoint(("b",), slow, 0)]
    assert [one.standing for one in with_front(points, OBJECTIVES)] == [SweptStanding.UNJUDGED, SweptStanding.FRONT]


def test_settings_beyond_the_recording_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, plot = talk(tmp_path / "a.jsonl", ["One.", "Two.", "Three."]), tmp_path / "a.svg"
    line = ["sweep", str(trace), "--set", "stages.vad.end=200ms,5s", "--worlds", "2", "-j", "1"]
    assert main([*line, "--plot", str(plot)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row[:1] for row in rows[1:3]] == ["*", "?"]
    assert "stages.vad.end=5s: a.jsonl: the user was never silent for more than" in rows[-1]
    ring = next(one for one in ElementTree.parse(plot).iterfind(".//{*}circle") if one.get("fill") == "none")
    assert "cannot judge: a.jsonl: the user was never silent" in (ring[0].text or "")
    assert main([*line, "--format", "json"]) == 0
    judged, refused = json.loads(capsys.readouterr().out)["points"]
    assert (judged["standing"], judged["refused"]) == ("front", {})
    assert refused["standing"] == "unjudged"
    assert "never silent" in refused["refused"][str(trace)][0]


def test_a_few_traces_that_cannot_judge_refuse_nothing(tmp_path: Path) -> None:
    gaps_ms = (9000, 9000, 3000)
    traces = [str(talk(tmp_path / f"{n}.jsonl", ["One.", "Two."], every_ms=ms)) for n, ms in enumerate(gaps_ms)]
    short, long = sweep(traces, points_of(["stages.vad.end=200ms,4s"]), Workers(), worlds=0)
    assert SweptStanding.UNJUDGED not in (short.standing, long.standing)
    assert short.refused == {}
    assert list(long.refused) == traces[2:]


def test_it_is_the_same_serially_and_in_two_processes() -> None:
    traces = [str(TRACES / f"{name}.jsonl") for name in ("busy", "barge-in", "two-interrupts")]
    points = points_of(["stages.vad.end=300ms,500ms,700ms"])
    found = sweep(traces, points, Workers(), worlds=3)
    assert found == sweep(traces, points, Workers(processes=2), worlds=3)
    assert any(one.ranges for one in found)


def test_the_front_has_ranges_that_hold_its_figures() -> None:
    traces = [str(TRACES / f"{name}.jsonl") for name in ("busy", "conversation")]
    points = points_of(["stages.vad.end=300ms,500ms"])
    few, more, none = (sweep(traces, points, Workers(), worlds=worlds) for worlds in (2, 4, 0))
    assert [one._replace(ranges=None) for one in few] == [one._replace(ranges=None) for one in more] == none
    assert [one.standing for one in few] == [SweptStanding.FRONT, SweptStanding.BEATEN]
    assert [one.ranges is not None for one in few] == [True, False]
    ranges, wider = few[0].ranges, more[0].ranges
    assert ranges is not None
    assert wider is not None
    for name, (low, high) in ranges.items():
        value = few[0].figures[name]
        assert value is not None
        assert wider[name][0] <= low <= value <= high <= wider[name][1]
    assert any(low < high for low, high in wider.values())


def test_silence_that_comes_together_changes_no_figure() -> None:
    for name in ("busy", "barge-in", "conversation", "noisy-room", "withdrawn"):
        world = prepare(TRACES / f"{name}.jsonl", changed=True).with_settings(("stages.vad.end=650ms",))
        single, several = (world.run(brief=True, blocks=blocks).report for blocks in (False, True))
        for one, other in zip(single.turns, several.turns, strict=True):
            assert (one.end_reason, one.user, one.heard) == (other.end_reason, other.user, other.heard)
            # A device delivers each frame a little late, and of several only the last one counts.
            assert abs((one.ttfa_us or 0) - (other.ttfa_us or 0)) < 1_000


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = str(talk(tmp_path / "a.jsonl", ["One.", "Two."]))
    assert main(["sweep", trace, "--set", "stages.vad.end=200ms,400ms", "--format", "json", "-j", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [point["standing"] for point in told["points"]] == ["front", "beaten"]
    assert told["points"][1]["ttfa.p50"] - told["points"][0]["ttfa.p50"] == 200
    assert told["points"][0]["ranges"]["turns"] == [2, 2]
    assert told["points"][1]["ranges"] is None
    assert main(["sweep", trace, "--set", "stages.vad.end=200ms,400ms", "-j", "1"]) == 0
    assert f"flowkit replay {trace} --set stages.vad.end=200ms" in capsys.readouterr().out


def test_the_plot_and_the_table_show_the_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, plot = str(TRACES / "conversation.jsonl"), tmp_path / "sweep.svg"
    line = [
        "sweep",
        trace,
        "--set",
        "stages.vad.end=300ms,500ms,700ms",
        "--worlds",
        "3",
        "--plot",
        str(plot),
        "-j",
        "1",
    ]
    assert main(line) == 0
    rows = capsys.readouterr().out.splitlines()[1:4]
    assert [".." in row for row in rows] == ["*" in row for row in rows] == [True, False, False]
    tree = ElementTree.parse(plot)
    circles = tree.findall(".//{*}circle")
    assert [circle[0].text for circle in circles][-1] == "stages.vad.end=300ms"
    assert len(circles) == 3
    assert main([*line, "--objective", "turns"]) == 2
    assert "--plot shows two objectives" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("--set stages.vad.end=300ms --worlds -1", "number of worlds"),
        ("--set stages.tts.per_char=9ms", "another"),
        ("--set stages.vad.end=1ms --objective speed", "unknown figure"),
        ("--set stages.vad.nothing=1", "nothing"),
    ],
)
def test_what_cannot_be_swept(line: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = talk(tmp_path / "a.jsonl", ["One."])
    assert main(["sweep", str(trace), *line.split()]) == 2
    assert what in capsys.readouterr().err


def test_no_traces(tmp_path: Path) -> None:
    assert main(["sweep", str(tmp_path), "--set", "a=1"]) == 5
