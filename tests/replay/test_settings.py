"""A typed session replays with the pipeline file that it was run with."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.config import load
from flowkit.errors import UsageError
from flowkit.messages import InputEnded, Message, Typed
from flowkit.plan import resolve, text_mode
from flowkit.plan.show import show
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.heap import HeapPump
from flowkit.replay.recorded import scripted
from flowkit.replay.simulate import simulate
from flowkit.testing.sessions import scripts_of
from flowkit.trace import open_recorder
from tests.trace.sessions import pipeline


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
    report = simulate(trace).report
    assert (report.turns[0].user, report.turns[0].end_reason) == ("Where?", ends)
    same = simulate(trace, pipeline=str(tmp_path / "agent.yaml")).report
    assert (same.level, same.digest) == ("simulated", report.digest)


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
