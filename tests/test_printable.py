"""Foreign text is shown safely: the same hostile text in every place that a person reads."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.config.problems import Problem
from flowkit.config.render import render
from flowkit.config.text import NamedText, start_of
from flowkit.printable import all_printable, one_line, printable
from flowkit.report.github import commands
from flowkit.report.junit import junit
from flowkit.report.live import LiveView
from flowkit.report.markdown import markdown
from flowkit.report.outcome import Change, Finding, Outcome, Status
from flowkit.report.plain import PlainView
from flowkit.testing.sessions import scripted_plan

HOSTILE = "a\x1b]52;c;aGk=\x07 \x1b[2J b\r\x9b31m \u202e c\x00\x08\x7f"
CONTROL = set(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F)])) - {"\n", "\t"}
"""What no sink may hold."""


def outcome() -> Outcome:
    change = Change(1, "heard", HOSTILE, HOSTILE)
    return Outcome(
        HOSTILE, HOSTILE, 1, Status.FAILED, (Finding(HOSTILE, HOSTILE, 1),), (change,), (HOSTILE,), again=HOSTILE
    )


def plain_view() -> str:
    lines: list[str] = []
    PlainView(lines.append).event(0, "error", HOSTILE)
    return "\n".join(lines)


def live_view() -> str:
    from rich.console import Console

    view = LiveView(scripted_plan(), console=Console(width=100, height=40))
    view.say(HOSTILE)
    view.state.user = view.state.partial = HOSTILE
    with view._console.capture() as shown:
        view._console.print(view.picture())
    return shown.get()


PROBLEM = Problem("FK111", start_of(NamedText(HOSTILE, f"x: {HOSTILE}\n")), ("x",), HOSTILE, HOSTILE, HOSTILE)
SINKS: dict[str, Callable[[], str]] = {
    "markdown": lambda: markdown([outcome()]),
    "junit": lambda: "".join(ET.fromstring(junit([outcome()])).itertext()),
    "junit as written": lambda: junit([outcome()]),
    "github": lambda: "\n".join(commands([outcome()])),
    "plain view": plain_view,
    "live view": live_view,
    **{
        f"problems, {form}": lambda form=form: render([PROBLEM], form)
        for form in ("full", "concise", "github", "json", "sarif")
    },
    "problems, on a terminal": lambda: render([PROBLEM], "full", terminal=True),
}


@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS)
def test_no_control_character_reaches(sink: Callable[[], str]) -> None:
    text = sink()
    assert CONTROL & set(text) == set()
    assert "a" in text


@given(st.text())
def test_what_is_printable_stays_and_json_stays_json(text: str) -> None:
    shown = printable(text)
    assert CONTROL & set(shown) == set()
    assert printable(shown) == shown
    assert shown.encode().decode() == shown
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text
    assert "\n" not in one_line(text)


def test_text_that_harms_nobody_is_as_it_was() -> None:
    for text in ("é 東京 שלום\u200f नमस्ते\u200d 👩\u200d👧 \t\n", "a\\u001b", ""):
        assert printable(text) == text
    assert printable("\ud800") == "\\ud800"
    assert printable("a\x1b[2J\r\n") == "a\\u001b[2J\\u000d\n"
    assert one_line("a\r\n b\n") == "a  b"
    assert all_printable({"a\x1b": ["\r", 1, None, ("x\x07",)]}) == {"a\\u001b": ["\\u000d", 1, None, ["x\\u0007"]]}
