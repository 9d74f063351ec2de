"""`{{name}}` in system prompts and the greeting is filled in for each session, and a recording needs no values."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flowkit import secrets
from flowkit.config import Config, InvalidConfig, load
from flowkit.errors import UsageError
from flowkit.messages import ClauseStarted
from flowkit.plan import require
from flowkit.plan.variables import check_given, fill, places
from flowkit.providers.base import Provider
from flowkit.providers.llamacpp.llm import LlamaCpp
from flowkit.providers.models import open_models
from flowkit.replay.rerun import exactly
from flowkit.runtime.host import open_host
from flowkit.testing.sessions import Kept
from flowkit.trace.reader import read_trace

FILE = """
flowkit: 1
greeting: {text: "Hello {{name}}, this is {{ place }}."}
stages:
  - {kind: mic, provider: scripted, speech: [], length: 3s}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted}
  - {kind: gate}
  - kind: llm
    provider: canned
    text: Well.
  - {kind: chunker}
  - {kind: tts, provider: scripted, per_char: 10ms}
  - {kind: speaker, provider: memory}
"""
PROMPT = FILE.replace("provider: canned\n    text: Well.", "provider: llamacpp\n    system: 'You help {{name}}.'")
VALUES = {"name": "Ann", "place": "the bistro"}


def config(text: str = FILE) -> Config:
    return load("a.yaml", text=text, environ={})


def test_names_are_found_where_they_stand() -> None:
    found = [(place.name, place.mark.line, place.path[-1]) for place in places(config(PROMPT))]
    assert found == [("name", 3, "text"), ("place", 3, "text"), ("name", 11, "system")]


def test_a_name_without_a_value_is_an_error_at_its_place() -> None:
    with pytest.raises(InvalidConfig) as error:
        check_given(config(), {"name": "Ann"})
    (problem,) = error.value.problems
    assert (problem.code, problem.mark.line, problem.what) == ("FK131", 3, "{{place}} has no value")
    assert problem.help.startswith("give one: --var place=VALUE")


def test_a_value_whose_name_is_not_there_is_an_error_with_a_hint() -> None:
    with pytest.raises(UsageError, match=r"the pipeline has no \{\{nane\}\}") as error:
        check_given(config(), {**VALUES, "nane": "x"})
    assert "name" in error.value.hint


def test_both_config_and_plan_are_filled_alike_and_a_value_is_no_name() -> None:
    values = {"name": "{{place}}", "place": "here"}
    plan = fill(require(config(PROMPT)), values)
    assert plan == require(fill(config(PROMPT), values))
    (system,) = (stage.provider.options.system for stage in plan.stages if stage.kind == "llm" and stage.provider)  # type: ignore[attr-defined]
    assert system == "You help {{place}}."


def test_a_session_says_its_own_values_and_its_recording_replays_without_any(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_host(config(), notice=lambda line: None) as host:
            for name in ("Ann", "Bob"):
                kept = Kept()
                await host.run_session(
                    observers=(kept,),
                    trace=tmp_path / f"{name}.jsonl",
                    variables={"name": name, "place": "the bistro"},
                    settled=wait_all_tasks_blocked,
                )
                said = "".join(row.message.text for row in kept.all if isinstance(row.message, ClauseStarted))
                assert said == f"Hello {name}, this is the bistro."
            with pytest.raises(InvalidConfig):
                await host.run_session()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    trace = read_trace(tmp_path / "Bob.jsonl")
    assert "Hello Bob, this is the bistro." in trace.head.config
    assert exactly(trace).same


def test_a_value_that_is_named_like_a_secret_is_one() -> None:
    text = FILE.replace("{{name}}", "{{api_token}}")
    fill(config(text), {"api_token": "sk-very-secret-1"})
    assert "sk-very-secret-1" in secrets.known().values


def test_sessions_with_different_prompts_share_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    class Fake(LlamaCpp):
        load = Provider.load

    options = LlamaCpp.Options(system="You help {{name}}.")

    async def main() -> None:
        async with open_models(lambda line: loads.append(line)) as models:
            first = options.model_copy(update={"system": "You help Ann."})
            async with models.shared(Fake, options), models.shared(Fake, first):
                assert len(models._models) == 1
                async with models.shared(Fake, options.model_copy(update={"max_tokens": 9})):
                    assert len(models._models) == 2

    trio.run(main)
