"""Conversations that become longer than the model's context: with a server that refuses long requests, and with the
embedded model."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pytest
import trio

from flowkit.config import load
from flowkit.plan import require
from flowkit.plan.variants import text_mode
from flowkit.providers.registry import missing
from flowkit.runtime.host import run_alone
from flowkit.runtime.session import SessionOutcome
from flowkit.testing.emulators import GroqEmulator, running

APOLOGY = "Sorry, one moment."
SERVER = """
flowkit: 1
stages:
  - {{kind: gate}}
  - kind: llm
    provider: openai_compatible
    base_url: {url}/v1
    model: any
    system: Be brief.
    failover: [{{provider: canned, text: "{apology}"}}]
  - {{kind: chunker}}
  - {{kind: tts, provider: print}}
"""
EMBEDDED = """
flowkit: 1
stages:
  - {{kind: gate}}
  - {{kind: llm, provider: llamacpp, context: {context}, max_tokens: 40, failover: [{{provider: canned, text: "{apology}"}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: print}}
"""


def typed(text: str, lines: Iterable[str], monkeypatch: pytest.MonkeyPatch) -> SessionOutcome:
    """A session in which these lines are typed, each after the previous reply has ended."""
    config = text_mode(load("pipeline.yaml", text=text), waits=True)
    plan = require(config)
    absent = [choice.name for s in plan.stages if s.provider for choice in (s.provider,) if missing(choice.cls)]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return trio.run(lambda: run_alone(plan, notice=lambda line: None))


def replies(outcome: SessionOutcome) -> list[str]:
    """The text of each reply."""
    return [turn.heard for turn in outcome.figures.report().turns]


def told(request: Any) -> str:
    return " ".join(message["content"] for message in request.body["messages"])


def test_many_short_turns_are_all_answered_by_a_model_with_a_small_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few requests are refused: each refusal makes room for several turns."""
    with running(GroqEmulator(context=80)) as server:
        lines = [f"Question {n}?" for n in range(30)]
        outcome = typed(SERVER.format(url=server.url, apology=APOLOGY), lines, monkeypatch)
        asked = [seen for seen in server.seen if seen.path.endswith("/completions")]
    assert replies(outcome) == [f"You said: {line} That is all I know. Ask me something else." for line in lines]
    assert len(asked) < len(lines) + 5


def test_a_line_that_is_too_long_costs_one_apology_and_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(GroqEmulator(context=80)) as server:
        lines = ["One?", "Two?", "endless " * 400, "Three?", "Four?", "Five?"]
        outcome = typed(SERVER.format(url=server.url, apology=APOLOGY), lines, monkeypatch)
        asked = [told(seen) for seen in server.seen if seen.path.endswith("/completions")]
    assert [APOLOGY in reply for reply in replies(outcome)] == [False, False, True, False, False, False]
    assert sum("endless" in text for text in asked) == 2
    assert "endless" not in asked[-1]


def test_the_embedded_model_goes_on_when_its_context_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["What is the capital of France?", "word " * 400, *["How many days are in a week, please?"] * 6]
    outcome = typed(EMBEDDED.format(context=256, apology=APOLOGY), lines, monkeypatch)
    assert [APOLOGY in reply for reply in replies(outcome)] == [False, True, *[False] * 6]
    assert all(replies(outcome))
