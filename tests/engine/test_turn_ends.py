"""Sessions whose user's turns end by what was said, on both pumps, and replays of them with other settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowkit.figures.metrics import measure
from flowkit.messages import EndOfUtterance, Message, Predict, Prediction
from flowkit.plan.graph import Plan
from flowkit.providers.inline import Answer, InlineCall
from flowkit.providers.scripted import ScriptedTurn
from flowkit.report.plain import summary
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session

ADAPTIVE = {"complete": "200ms", "unsure": "500ms", "incomplete": "1200ms"}


def talk(end: Any = ADAPTIVE, **turn: Any) -> Plan:
    """The user says a sentence of 900 ms, whose last partial transcript comes 50 ms after it."""
    stages: dict[str, Any] = {
        "mic": {"speech": [{"at": "100ms", "lasts": "900ms"}], "length": "3s"},
        "vad": {"end": end},
        "asr": {"utterances": ("What is it?",)},
        "llm": {"replies": ({"text": "It is."},)},
    }
    return scripted_plan(**stages, **({"turn": turn} if turn else {}))


def ends(plan: Plan) -> list[tuple[int, str, str]]:
    """The silence before each end of an utterance in ms, and why it was that; the same on both pumps."""
    engine = heap_session(plan)
    assert trio_session(plan).journal.rows == engine.journal.rows
    assert engine.finished == "input_ended"
    return [
        (row.handled_us // 1000 - (row.message.last_voiced + 1) * 20, row.message.why, row.message.by)
        for row in engine.journal.rows
        if isinstance(row.message, EndOfUtterance) and row.stage == "gate"
    ]


@pytest.mark.parametrize(
    ("turn", "silence_ms", "why", "by"),
    [
        ({}, 500, "unsure", ""),
        ({"likelihood": (0.1, 0.9)}, 200, "complete", "scripted"),
        ({"likelihood": (0.9, 0.9, 0.1)}, 1200, "incomplete", "scripted"),
        ({"likelihood": (1.0,)}, 200, "complete", "scripted"),
        ({"likelihood": (0.0,)}, 1200, "incomplete", "scripted"),
        ({"hangs": True}, 500, "unsure", ""),
        ({"likelihood": (0.9,), "latency": "10s"}, 500, "unsure", ""),
    ],
    ids=["no predictor", "complete", "incomplete", "always 1", "always 0", "hangs", "slow"],
)
def test_a_turn_ends_by_silence_whatever_its_predictor_does(
    turn: dict[str, Any], silence_ms: int, why: str, by: str
) -> None:
    assert ends(talk(**turn)) == [(silence_ms, why, by)]


def test_a_single_duration_asks_nobody() -> None:
    assert ends(talk("400ms", likelihood=(0.9,))) == [(400, "", "")]


def broken(fed: Callable[[Message], Any]) -> type[ScriptedTurn]:
    class Broken(ScriptedTurn):
        def open(self, request: Message) -> InlineCall:
            assert request == Predict()
            return InlineCall(fed=fed)

    return Broken


def fails(item: Message) -> Any:
    raise RuntimeError("no weights")


@pytest.mark.parametrize(
    "fed",
    [
        fails,
        lambda item: (Answer(0, Prediction(7.0, "odd")),),
        lambda item: (Answer(0, Prediction(float("nan"), "odd")),),
    ],
)
def test_a_predictor_that_breaks_leaves_the_turn_to_silence(
    fed: Callable[[Message], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("flowkit.testing.sessions", fromlist=["SCRIPTED"]).SCRIPTED, "turn", broken(fed))
    engine = trio_session(talk(hangs=False))
    assert engine.finished == "input_ended"
    assert [row.message.why for row in engine.journal.rows if isinstance(row.message, EndOfUtterance)][:1] == ["unsure"]


def test_why_a_turn_ended_stands_in_its_figures_and_in_the_summary() -> None:
    plan = talk(likelihood=(0.93,))
    report = measure(heap_session(plan).journal.rows, plan=plan)
    assert report.turns[0].to_json()["user_turn_ended"] == {"why": "complete", "by": "scripted", "p": 0.93}
    assert summary(report)[0].endswith("; your turn ended by scripted 0.93: complete")
    plain = measure(heap_session(talk("400ms")).journal.rows, plan=plan)
    assert "user_turn_ended" not in plain.turns[0].to_json()
