"""What the pages tell of interruptions is what happens, in conversations of scripted models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowkit.cli import main
from flowkit.config.markdown import YamlBlock
from flowkit.config.text import NamedText
from flowkit.engine import Engine
from flowkit.figures.metrics import measure
from flowkit.messages import Hold
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.testing.sessions import SCRIPTED, heap_session
from tests.docs.test_yaml import BISTRO, SHOWN, planned

OURS = "interrupt:\n  backchannel: ignore\n"
TUTORIAL = [block for block in SHOWN if block.source.name == "docs/tutorial.md"]
[CHANGED] = [block for block in TUTORIAL if OURS in block.source.text]
[BY_DEFAULT] = [block for block in TUTORIAL if "budgets:" in block.source.text and block is not CHANGED]
[GERMAN] = [block for block in SHOWN if "Praxis am Markt" in block.source.text]
ANSWER = (
    "The ticket costs 3.50 euros. You can buy it at the machine, at the counter, or in the train. It is valid all day."
)


def with_interrupt(settings: str) -> YamlBlock:
    text = CHANGED.source.text.replace(OURS, f"interrupt: {settings}\n")
    return replace(CHANGED, source=NamedText(CHANGED.source.name, text))


def conversation(block: YamlBlock, said: str, lasts: str) -> tuple[Engine, Plan]:
    """The conversation in which the user says something for so long while the agent answers."""
    scene: dict[str, Any] = {
        "mic": {"speech": [{"at": "8s", "lasts": "600ms"}, {"at": "11s", "lasts": lasts}]},
        "asr": {"utterances": ["What does it cost?", said]},
        "llm": {"replies": [{"text": ANSWER}, {"text": "Sure."}]},
    }
    plan = acted(planned(block), scene)
    return heap_session(plan), plan


def acted(plan: Plan, scene: dict[str, Any]) -> Plan:
    def of(stage: PlannedStage) -> PlannedStage:
        cls = SCRIPTED[stage.kind]
        return replace(stage, provider=ProviderChoice("scripted", cls, cls.Options.model_validate(scene[stage.kind])))

    return replace(plan, stages=tuple(of(stage) if stage.kind in scene else stage for stage in plan.stages))


@pytest.mark.parametrize(
    ("block", "said", "lasts", "ends"),
    [
        (BY_DEFAULT, "Wait, please.", "600ms", "interrupted"),
        (BY_DEFAULT, "Uh-huh.", "600ms", "completed"),
        (BY_DEFAULT, "", "400ms", "completed"),  # a cough
        (BY_DEFAULT, "Yeah, yeah, okay.", "1400ms", "interrupted"),
        (CHANGED, "Wait, please.", "600ms", "interrupted"),
        (CHANGED, "Uh-huh.", "600ms", "completed"),
        (CHANGED, "Yeah, yeah, okay.", "1400ms", "interrupted"),
        (with_interrupt("{always_for: 1400ms}"), "Yeah, yeah, okay.", "1400ms", "completed"),
        (with_interrupt("{always_for: 1400ms}"), "Yeah, yeah, okay.", "1600ms", "interrupted"),
        (with_interrupt("{always_for: 2s}"), "Yeah, yeah, okay.", "2200ms", "completed"),  # it has resumed before
        (with_interrupt("{ignore: [uh-huh, right]}"), "Right.", "600ms", "completed"),
        (with_interrupt("{ignore: [uh-huh, right]}"), "I see.", "600ms", "interrupted"),
        (with_interrupt("{ignore: []}"), "Uh-huh.", "220ms", "interrupted"),
        (with_interrupt("{ignore: []}"), "Uh-huh.", "140ms", "completed"),
        (GERMAN, "Genau.", "600ms", "completed"),
        (GERMAN, "Moment mal.", "600ms", "interrupted"),
    ],
)
def test_an_answer_ends_as_it_is_told(block: YamlBlock, said: str, lasts: str, ends: str) -> None:
    session, plan = conversation(block, said, lasts)
    turns = measure(session.journal.rows, plan=plan).turns
    assert next(turn.end_reason for turn in turns if turn.user) == ends


@pytest.mark.parametrize(("block", "pauses"), [(BY_DEFAULT, 1), (CHANGED, 0)])
def test_the_agent_pauses_at_a_backchannel_only_by_default(block: YamlBlock, pauses: int) -> None:
    session, _ = conversation(block, "Uh-huh.", "600ms")
    assert len([row for row in session.journal.rows if isinstance(row.message, Hold)]) == pauses


def test_the_list_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my.yaml").write_text(CHANGED.source.text, "utf-8")
    assert main(["show", str(tmp_path / "my.yaml"), "--resolved"]) == 0
    shown = capsys.readouterr().out
    assert "ignore" in shown
    assert "i see" in shown


BOOKS = [
    {"calls": [{"name": "book_table", "arguments": '{"people": 2, "time": "19:30"}'}]},
    {"after": "book_table", "text": "Your table is booked for two."},
    {"text": "Sure."},
]


@pytest.mark.parametrize(
    ("effects", "asked"), [("once", "And a high chair?"), ("none", "A table for two. And a high chair?")]
)
def test_a_question_is_not_asked_again_once_a_tool_was_called_for_it(effects: str, asked: str) -> None:
    tools = (
        f'interrupt: {{ignore: []}}\ntools: [{{call: "{BISTRO}:book_table", effects: {effects}}}]\n'
        "stages: [{kind: vad, provider: scripted, end: 300ms}]\n"
    )
    scene: dict[str, Any] = {
        # The second voice comes while nothing of the answer to the first is audible yet.
        "mic": {"speech": [{"at": "1s", "lasts": "500ms"}, {"at": "1900ms", "lasts": "600ms"}]},
        "asr": {"utterances": ["A table for two.", "And a high chair?"]},
        "llm": {"replies": BOOKS},
    }
    plan = acted(planned(YamlBlock(NamedText("tools.yaml", tools), ())), scene)
    turns = measure(heap_session(plan).journal.rows, plan=plan).turns
    assert [(turn.user, turn.heard) for turn in turns[:-1]] == [("A table for two.", "")]
    assert turns[-1].user == asked
