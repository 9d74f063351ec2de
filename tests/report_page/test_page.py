"""The report page in a real browser: nothing overlaps, nothing is fetched, no error, and the controls work."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from flowkit.report.outcome import Finding, Outcome, Status
from flowkit.report.page import ShownSession, of_trace, page
from flowkit.testing.sessions import plan_from_yaml
from flowkit.trace.reader import read_trace
from tests.report_page.browser import OVERLAPS, look
from tests.trace.recording import record
from tests.trace.sessions import pipeline
from tests.trace.tool_sessions import CUT_OFF, bistro

BUDGETS = "budgets: {ttfa: {p95: 850ms}, parts: {clause_fill: {p95: 50ms}}}\n"
WORK = (
    OVERLAPS
    + """
const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const heading = () => document.querySelector("section[aria-live] h2").textContent;
found.clashes = overlapping();
found.wide = document.documentElement.scrollWidth > innerWidth;
found.charts = document.querySelectorAll("svg[role=img]").length;
found.before = heading();
document.querySelector("button.next").click();
found.next = heading();
found.focus = document.activeElement === document.body;
document.body.focus();
press("ArrowLeft");
found.back = heading();
const theme = document.getElementById("theme");
const paper = () => getComputedStyle(document.body).backgroundColor;
theme.value = "dark"; theme.dispatchEvent(new Event("change"));
found.dark = paper();
found.clashes_dark = overlapping();
theme.value = "light"; theme.dispatchEvent(new Event("change"));
found.light = paper();
const audio = document.querySelector("audio");
if (audio) {
  if (!(audio.duration > 0)) await new Promise((r) => audio.addEventListener("loadedmetadata", r, {once: true}));
  found.duration = audio.duration;
  const side = flowkitReport.sides[0];
  side.seek(2000, false);
  found.playhead = Number(document.querySelector(".playhead").getAttribute("x1"));
  found.expected = side.xScale.apply(2);
  const agent = document.querySelector("input[value=agent]"); agent.click();
  found.gains = side.gains.map((g) => g.gain.value);
}
"""
)


def subject(folder: Path, text: str, name: str = "a.jsonl") -> ShownSession:
    """A scripted session, recorded and read back."""
    plan = plan_from_yaml(text + BUDGETS)
    record(folder / name, plan)
    return of_trace(read_trace(folder / name), plan.settings)


@pytest.mark.parametrize("size", ["1280,1600", "420,2400", "1800,1200"])
def test_nothing_overlaps_and_the_controls_work(tmp_path: Path, size: str) -> None:
    found = look(page([subject(tmp_path, pipeline())]), tmp_path, WORK, size=size)
    assert found["wrong"] == [] == found["console"]
    assert found["clashes"] == [] == found["clashes_dark"]
    assert not found["wide"]
    assert found["charts"] == 4
    assert (found["before"], found["next"], found["back"]) == (
        "Turn 1 interrupted",
        "Turn 2 completed",
        "Turn 1 interrupted",
    )
    assert found["dark"] != found["light"]
    assert found["duration"] == pytest.approx(7, abs=4)
    assert found["playhead"] == pytest.approx(found["expected"])
    assert found["gains"] == [0, 1]


@pytest.mark.parametrize("size", ["1500,1600", "500,2400"])
def test_two_sessions_stand_side_by_side(tmp_path: Path, size: str) -> None:
    before = subject(tmp_path, pipeline(), "before.jsonl")
    after = subject(tmp_path, pipeline(vad="end: 600ms"), "after.jsonl")
    script = WORK + 'found.table = document.querySelector("section[aria-label=changes]").textContent;'
    found = look(page([before, after]), tmp_path, script, size=size)
    assert found["wrong"] == [] == found["console"]
    assert found["clashes"] == []
    assert found["charts"] == 8
    assert "+200 ms" in found["table"]


@pytest.mark.parametrize("size", ["1280,1600", "500,2400"])
def test_a_failure_says_which_setting_did_it_and_nothing_is_cut_off(tmp_path: Path, size: str) -> None:
    stalled = replace(
        subject(tmp_path, pipeline(), "before.jsonl"), notices=("the loop was held up:\n  File a\n  File b",)
    )
    after = subject(tmp_path, pipeline(vad="end: 800ms"), "after.jsonl")
    after = replace(after, report=replace(after.report, level="simulated"))
    finding = Finding(
        "turn 1: ttfa: 1 ms -> 2 ms (by stages.vad.end: 800ms)", "p.yaml", 9, cause="stages.vad.end: 800ms"
    )
    failure = Outcome(
        "before", "before.expect.yaml", 1, Status.FAILED, (finding, replace(finding, what="turn 2: ttfa"))
    )
    script = OVERLAPS + (
        "const text = (where) => document.querySelector(where).innerText; found.clashes = overlapping();"
        "found.failure = text('section[aria-label=failure]'); found.head = text('section[aria-label=changes] thead');"
        "found.folded = document.querySelector('details').open; found.first = text('summary');"
        "const scroll = document.querySelector('section[aria-label=changes] .scroll');"
        "found.cut = scroll.scrollWidth - scroll.clientWidth;"
    )
    found = look(page([stalled, after], failure=failure), tmp_path, script, size=size)
    assert found["wrong"] == [] == found["console"]
    assert found["clashes"] == []
    assert found["failure"].startswith("The test before failed")
    assert found["failure"].count("Because of stages.vad.end: 800ms (p.yaml:9)") == 1
    assert found["failure"].endswith("\nturn 1: ttfa: 1 ms -> 2 ms\nturn 2: ttfa")
    assert re.search(r"recorded\s+now\s+change", found["head"])
    assert (found["folded"], found["first"]) == (False, "the loop was held up:")
    assert found["cut"] <= 0


def test_a_session_without_sound_offers_none(tmp_path: Path) -> None:
    record(tmp_path / "a.jsonl", plan_from_yaml(pipeline()), audio=False)
    script = (
        "found.plays = document.getElementById('plays').offsetParent !== null; found.text = document.body.innerText;"
    )
    found = look(page([of_trace(read_trace(tmp_path / "a.jsonl"))]), tmp_path, script)
    assert not found["plays"]
    assert "No sound was kept" in found["text"]
    assert "Click to listen" not in found["text"]


@pytest.mark.parametrize("size", ["1280,1600", "420,2400"])
def test_tools_have_a_lane_and_a_table(tmp_path: Path, size: str) -> None:
    script = OVERLAPS + (
        "found.clashes = overlapping(); found.wide = document.documentElement.scrollWidth > innerWidth;"
        'found.turn = document.querySelector("section[aria-live]").textContent;'
    )
    found = look(page([subject(tmp_path, bistro(CUT_OFF))]), tmp_path, script, size=size)
    assert found["wrong"] == [] == found["console"]
    assert found["clashes"] == []
    assert not found["wide"]
    for told in ('look{"time": "19:30"}errorfull', 'book{"people": 2}resulttable 7 (the reply was interrupted'):
        assert told in found["turn"]
    assert "tools" in found["turn"]


def test_a_redacted_page_tells_nothing_of_tools(tmp_path: Path) -> None:
    record(tmp_path / "a.jsonl", plan_from_yaml(bistro()), keep=["clauses", "tokens"])
    known = of_trace(read_trace(tmp_path / "a.jsonl"))
    text = page([known])
    assert len(known.report.tools) == 2
    assert not [word for word in ("19:30", "table 7", '"look"') if word in text]
    record(tmp_path / "b.jsonl", plan_from_yaml(bistro()), keep=["tools"])
    assert "table 7" in page([of_trace(read_trace(tmp_path / "b.jsonl"))])


def test_what_was_said_cannot_run_as_code(tmp_path: Path) -> None:
    evil = "</script><script>wrong.push(1)</script><img src=x onerror=wrong.push(2)>. {{DATA}} Yes."
    found = look(page([subject(tmp_path, pipeline(heard=(evil, evil), replies=(evil, "No.")))]), tmp_path, OVERLAPS)
    assert found["wrong"] == [] == found["console"]


def test_the_page_holds_all_it_needs(tmp_path: Path) -> None:
    text = page([subject(tmp_path, pipeline())])
    assert not re.search(r"<(?:link|script|img|audio)[^>]*(?:src|href)=(?![\"']data:)", text)
    assert "default-src 'none'" in text
    sound = re.search(r'"audio":"data:audio/ogg;base64,([^"]+)"', text)
    assert sound is not None
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound[1])))
    assert rate == 16_000
    user, agent = abs(samples[:, 0]), abs(samples[:, 1])
    # The user speaks from 0.28 s to 1.1 s; the agent begins 860 ms later, at the tick after its first audio.
    assert user[8_000:16_000].mean() > 0.05 > 0.001 > user[24_000:40_000].mean()
    assert agent[16_000 : int(16_000 * 1.9)].mean() < 0.002 < 0.02 < agent[int(16_000 * 2.0) : 40_000].mean()


def test_a_session_without_sound_is_drawn_from_levels(tmp_path: Path) -> None:
    plan = plan_from_yaml(pipeline())
    record(tmp_path / "a.jsonl", plan, audio=False)
    known = of_trace(read_trace(tmp_path / "a.jsonl"))
    text = page([known])
    assert '"audio":""' in text
    levels = re.search(r'"user":"([A-Za-z0-9+/=]+)"', text)
    assert levels is not None
    drawn = base64.b64decode(levels[1])
    assert min(drawn[20:50]) > 60
    assert max(drawn[70:120]) == 0
