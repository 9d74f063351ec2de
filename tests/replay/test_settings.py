"""A typed session replays with the pipeline file that it was run with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowkit.config import Config, RunMode, load
from flowkit.errors import TraceError, UsageError
from flowkit.messages import Done, InputEnded, Message, Typed
from flowkit.plan import resolve, text_mode, with_playback
from flowkit.plan.show import show
from flowkit.plan.variants import as_served, like
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.heap import HeapPump
from flowkit.replay.predict import predict
from flowkit.replay.recorded import scripted
from flowkit.replay.settings import recorded_plan
from flowkit.replay.simulate import simulate
from flowkit.testing.sessions import scripts_of
from flowkit.trace import open_recorder
from flowkit.trace.reader import read_trace
from flowkit.trace.rewrite import redact
from tests.fidelity.world import trace_of
from tests.trace.sessions import pipeline, run


class Keyboard(Script):
    """Types two lines, the second into the first reply."""

    def open(self, request: Message) -> InlineCall:
        return scripted([(100_000, Typed("Where?")), (900_000, Typed("And then?")), (5_000_000, InputEnded(0))])


def typed(folder: Path, *, waits: bool) -> Path:
    """The trace of a session of ``agent.yaml`` in `folder`, with a keyboard for its microphone."""
    (folder / "agent.yaml").write_text(pipeline())
    spoken = load(str(folder / "agent.yaml"))
    config = text_mode(spoken, waits=waits)
    plan = resolve(config)
    pump = HeapPump(plan, {**scripts_of(resolve(spoken)), "gate": Keyboard()})
    pump.run()
    recorder = open_recorder(folder / "typed.jsonl", plan, config=show(config, plan), audio=False)
    recorder.begin(0)
    recorder.rows(list(pump.engine.journal))
    return recorder.close(pump.engine.finished or "closed").path


@pytest.mark.parametrize(("waits", "ends"), [(True, "completed"), (False, "interrupted")])
def test_typed_lines_replay_with_the_file_that_has_a_microphone(tmp_path: Path, waits: bool, ends: str) -> None:
    trace = typed(tmp_path, waits=waits)
    assert read_trace(trace).head.mode is RunMode.TEXT
    report = simulate(trace).report
    assert (report.turns[0].user, report.turns[0].end_reason) == ("Where?", ends)
    same = simulate(trace, pipeline=str(tmp_path / "agent.yaml")).report
    assert (same.level, same.digest) == ("simulated", report.digest)


class Printed(Script):
    """A voice that takes 4 ms to print a clause."""

    def open(self, request: Message) -> InlineCall:
        return scripted([(4_000, Done())])


def test_a_printed_session_has_nothing_to_model() -> None:
    text = pipeline(llm="first_token: 0ms, per_token: 0ms").replace(
        "{kind: tts, provider: scripted}", "{kind: tts, provider: print}"
    )
    plan = resolve(text_mode(load("agent.yaml", text=text)))
    scripts = scripts_of(resolve(load("agent.yaml", text=pipeline(llm="first_token: 0ms, per_token: 0ms"))))
    pump = HeapPump(plan, {**scripts, "gate": Keyboard(), "tts": Printed()})
    pump.run()
    config = show(text_mode(load("agent.yaml", text=text)), plan)
    trace = trace_of(plan, config, list(pump.engine.journal), reason=pump.engine.finished)
    trace = replace(trace, head=replace(trace.head, mode=RunMode.TEXT))
    report = predict(trace, overrides=("stages.chunker.max_tokens=3",)).report
    assert len(report.turns) == 2
    assert len(report.turns[0].clauses) > len(simulate(trace).report.turns[0].clauses)
    assert (report.level, report.modelled_share) == ("what_if", 0.0)
    assert report.outlook is not None
    assert report.outlook.refusal == ()
    assert str(report.outlook.this) == "2 turns, 0 interrupted"


@pytest.mark.parametrize(
    ("recorded", "now", "level"),
    [
        (
            "kind: mic, provider: scripted, speech: [{at: 300ms, lasts: 800ms}]",
            "kind: mic, provider: device, device: 7",
            "simulated",
        ),
        ("kind: speaker", "kind: speaker, provider: wav, path: out.wav", "simulated"),
        ("kind: speaker", "kind: speaker, queue: {max: 3}", "what_if"),
        ("kind: tts, provider: scripted", "kind: tts, provider: scripted, price: {characters: 35}", "simulated"),
        ("kind: tts, provider: scripted", "kind: tts, provider: scripted, idle_timeout: 9s", "what_if"),
        ("kind: tts, provider: scripted", "kind: tts, provider: scripted, queue: {max: 2}", "what_if"),
    ],
)
def test_devices_files_and_prices_change_nothing(tmp_path: Path, recorded: str, now: str, level: str) -> None:
    session = run(text := pipeline("{at: 300ms, lasts: 800ms}"))
    trace = trace_of(session.plan, text, session.rows, reason=session.pump.engine.finished or "closed")
    assert f"{{{recorded}}}" in text
    (tmp_path / "agent.yaml").write_text(text.replace(f"{{{recorded}}}", f"{{{now}}}"))
    before, after = simulate(trace).report, simulate(trace, pipeline=str(tmp_path / "agent.yaml")).report
    assert after.level == level
    assert after.digest == before.digest or level == "what_if"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  - {kind: chunker}\n", "chunker is missing"),
        ("  - {kind: chunker, id: cuts}\n", "chunker is missing; cuts (chunker) was not there"),
    ],
)
def test_the_stages_that_differ_are_named(tmp_path: Path, line: str, told: str) -> None:
    trace, file = typed(tmp_path, waits=True), tmp_path / "agent.yaml"
    [own] = [known for known in file.read_text().splitlines(keepends=True) if "kind: chunker" in known]
    file.write_text(file.read_text().replace(own, line if "id" in line else ""))
    with pytest.raises(UsageError) as refused:
        simulate(trace, pipeline=str(file))
    assert str(refused.value) == f"cannot replay with another list of stages: {told}"


IN_MEMORY = """flowkit: 1
stages:
  - {kind: mic, provider: memory}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted, utterances: [Hello.]}
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: "Hi."}]}
  - {kind: tools}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: memory}
"""
"""Looks served: its sound is in memory, and it has a stage for tools."""


@pytest.mark.parametrize(
    ("mode", "variant"), [(RunMode.FILE, with_playback), (RunMode.TEXT, text_mode), (RunMode.SERVED, as_served)]
)
def test_the_mode_is_recorded_and_alone_says_how_the_file_is_run(
    tmp_path: Path, mode: RunMode, variant: Callable[[Config], Config]
) -> None:
    file = load("agent.yaml", text=IN_MEMORY)
    plan = resolve(config := variant(file))
    recorder = open_recorder(tmp_path / "a.jsonl", plan, config=show(config, plan))
    recorder.begin(0)
    trace = read_trace(recorder.close().path)
    redact(trace, tmp_path / "b.jsonl", ())
    assert trace.head.mode is read_trace(tmp_path / "b.jsonl").head.mode is mode
    assert recorded_plan(trace).mode is mode
    assert resolve(like(recorded_plan(trace), file)) == plan


def test_a_mode_that_is_none_is_refused(tmp_path: Path) -> None:
    plan = replace(resolve(load("agent.yaml", text=IN_MEMORY)), mode=RunMode.SERVED)
    recorder = open_recorder(tmp_path / "a.jsonl", plan)
    recorder.begin(0)
    path = recorder.close().path
    path.write_text(path.read_text().replace('"served"', '"driven"'))
    with pytest.raises(TraceError, match="Invalid enum value 'driven'"):
        read_trace(path)
