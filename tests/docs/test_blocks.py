"""Every pipeline with a microphone that a page shows holds a conversation, in virtual time.

Its providers are replaced by scripted ones, so it needs no network, model or device. All else of it stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowkit.config import Outside, Unset
from flowkit.config.catalog import INSTALLED
from flowkit.config.kinds import find
from flowkit.config.load import read_text
from flowkit.config.markdown import YamlBlock
from flowkit.figures.metrics import measure
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.plan.resolve import draw
from flowkit.plan.variants import with_playback
from flowkit.testing.sessions import SCRIPTED, heap_session
from tests.config.test_docs import blocks

ASKED, ANSWER = "What does it cost?", "It costs 3.50 euros. Come and see."
SAID: dict[str, dict[str, Any]] = {
    "mic": {"speech": [{"at": "3s", "lasts": "600ms"}]},
    "asr": {"utterances": [ASKED]},
    "llm": {"replies": [{"text": ANSWER}]},
}


def acted(stage: PlannedStage) -> PlannedStage:
    """The stage with a scripted provider in place of its own."""
    if (cls := SCRIPTED.get(stage.kind)) is None or (not stage.choices and stage.kind != "mic"):
        return stage
    options = cls.Options.model_validate(SAID.get(stage.kind, {}))
    # The stage of a voice that takes whole replies is another than that of the scripted one, which takes clauses.
    return replace(stage, cls=find(stage.kind), provider=ProviderChoice("scripted", cls, options), failover=())


def planned(block: YamlBlock) -> Plan:
    config = read_text(block.source, (), Outside(unset=Unset.KEEP), INSTALLED, []).config
    plan = draw(with_playback(config), installed=False).plan
    return replace(plan, stages=tuple(map(acted, plan.stages)))


PIPELINES = [
    block
    for block in blocks()
    if block.is_pipeline
    and "wrong" not in block.words
    and {"mic", "speaker"} <= {s.kind for s in planned(block).stages}
]


@pytest.mark.parametrize("block", PIPELINES, ids=lambda b: f"{b.source.name}:{b.source.first_line}")
def test_every_pipeline_that_is_shown_holds_a_conversation(block: YamlBlock) -> None:
    plan = planned(block)
    turns = measure(heap_session(plan).journal.rows, plan=plan).turns
    assert (turns[-1].user, turns[-1].agent, turns[-1].end_reason) == (ASKED, ANSWER, "completed")
    assert turns[-1].ttfa_us
