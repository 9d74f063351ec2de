"""Sessions that come and go leave nothing behind in their host: no engine, task, thread, descriptor, nor memory.

In virtual time, and in real time in another process: seconds in CI, an hour in the profile `deep`, where fifty talk at
the same time and two thousand in all; FLOWKIT_SOAK_S says otherwise.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flowkit.config import load
from flowkit.engine import Engine, Row
from flowkit.engine.observer import Observer
from flowkit.messages import Message
from flowkit.plan import require
from flowkit.replay.rerun import exactly
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import LiveSession
from flowkit.stages.base import Actions
from flowkit.stages.gate import Gate
from flowkit.stages.gate_state import GateState
from flowkit.trace.reader import read_trace
from flowkit.trace.rewrite import repair
from tests.soak.comers import FAILING
from tests.soak.comers import TALK as TALKING
from tests.soak.test_flat import GROWTH
from tests.virtual import waited_for

ROOT = Path(__file__).parents[2]
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
LIVE_S = int(os.environ.get("FLOWKIT_SOAK_S", 3_600 if DEEP else 8))
LIVE_AT_ONCE, LASTS_S = (50, max(2, LIVE_S / 40)) if DEEP else (12, 1)
AT_ONCE, WAVES = (50, 40) if DEEP else (25, 3)
TALK = """flowkit: 1
name: talk
stages:
  - {kind: mic, provider: scripted, speech: [{at: 100ms, lasts: 200ms}], length: 2s}
  - {kind: vad, provider: scripted, end: 100ms}
  - {kind: asr, provider: scripted, utterances: [Hello there.]}
  - {kind: gate}
  - {kind: llm, provider: canned, text: "Good day to you."}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: memory}
"""


def held() -> dict[str, int]:
    """What this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    kinds = [type(thing) for thing in gc.get_objects()]
    return {
        "engines": kinds.count(Engine),
        "sessions": kinds.count(LiveSession),
        "threads": sum(not thread.name.startswith("Trio") for thread in threading.enumerate()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "kilobytes": pages * os.sysconf("SC_PAGE_SIZE") // 1000,
    }


async def wave(host: Host, folder: Path) -> None:
    """A number of sessions side by side, each recorded and begun a little later than the one before."""
    async with trio.open_nursery() as nursery:
        for i in range(AT_ONCE):
            nursery.start_soon(partial(host.run_session, trace=folder / f"{i}.jsonl"))
            await trio.sleep(0.013)


async def waves() -> list[dict[str, Any]]:
    samples = []
    async with open_host(load("talk.yaml", text=TALK), notice=lambda line: None) as host:
        for _ in range(WAVES):
            with tempfile.TemporaryDirectory() as folder:
                await wave(host, Path(folder))
                assert all(read_trace(path).rows() for path in Path(folder).glob("*.jsonl"))
            samples.append(held())
        assert host.gauges.begun == AT_ONCE * WAVES
        assert host.gauges.failed == 0
    return samples


def in_virtual_time() -> None:
    """Print what the process holds after each wave."""
    print(json.dumps(trio.run(waves, clock=MockClock(autojump_threshold=0))))


def test_sessions_that_come_and_go_leave_nothing_behind() -> None:
    # In a process of its own: what other tests have left to be closed would be counted here.
    command = [sys.executable, "-c", f"from {__name__} import in_virtual_time; in_virtual_time()"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True).stdout
    before, *_, last = json.loads(printed)
    assert last["engines"] == last["sessions"] == 0
    assert last["threads"] <= before["threads"]
    assert last["descriptors"] <= before["descriptors"]
    assert last["kilobytes"] - before["kilobytes"] < 10_000


REASONS = {
    "in order": "closed",
    "cancelled": None,
    "a provider fails": "closed",
    "an observer is broken": "failed: RuntimeError: broken",
    "a stage is broken": "failed: RuntimeError: broken",
}
"""How each session ends. One that is cancelled returns nothing."""


class BrokenObserver(Observer):
    """Fails in the middle of a session."""

    def rows(self, rows: list[Row]) -> None:
        if rows[-1].handled_us > 3_000_000:
            raise RuntimeError("broken")


class BrokenGate(Gate):
    """The same as a stage."""

    def step(self, state: GateState, message: Message, now_us: int) -> Actions:
        if now_us > 3_000_000:
            raise RuntimeError("broken")
        return super().step(state, message, now_us)


async def left(how: str, folder: Path) -> Counter[str]:
    """The types of what one session leaves that only the collector finds."""
    async with open_host(load("talk.yaml", text=TALKING), notice=lambda line: None) as host:
        failing = require(load("failing.yaml", text=FAILING))
        stages = (replace(stage, cls=BrokenGate) if stage.kind == "gate" else stage for stage in host.plan.stages)
        plans = {"a provider fails": failing, "a stage is broken": replace(host.plan, stages=tuple(stages))}
        observers = (BrokenObserver(),) if how == "an observer is broken" else ()

        async def session(name: str) -> None:
            reason = None
            with trio.move_on_after(3) if how == "cancelled" else trio.CancelScope() as scope:
                outcome = await host.run_session(
                    plans.get(how), trace=folder / name, observers=observers, duration_us=10_000_000
                )
                reason = outcome.reason
            assert (reason, scope.cancelled_caught) == (REASONS[how], how == "cancelled")
            assert read_trace(folder / name).rows()[-1].handled_us > 2_000_000

        await session("first.jsonl")
        gc.collect()
        gc.disable()
        try:
            await session("second.jsonl")
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            return Counter(
                type(thing).__qualname__ for thing in gc.garbage if type(thing).__module__.startswith("flowkit")
            )
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()


@pytest.mark.parametrize("how", REASONS)
def test_a_session_that_has_ended_leaves_nothing_to_the_collector(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector looks at everything seldom, and what waits for it is memory that the next sessions lack."""
    clock = MockClock(autojump_threshold=0)
    monkeypatch.setattr(trio.to_thread, "run_sync", waited_for(clock))
    assert not trio.run(left, how, tmp_path, clock=clock)


# -- in real time ------------------------------------------------------------------------------------------------------


def comers(folder: Path) -> subprocess.Popen[str]:
    """A host in another process, with recordings in `folder`."""
    numbers = map(str, (LIVE_S, LIVE_AT_ONCE, LASTS_S))
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.soak.comers", str(folder), *numbers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_sessions_that_come_and_go_in_real_time_leave_nothing_behind(tmp_path: Path) -> None:
    """Some are cancelled, and some fail."""
    process = comers(tmp_path)
    *begun, last = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert len(begun) > LIVE_AT_ONCE
    before, *during, after = json.loads(last)
    if DEEP:
        (ROOT / "out").mkdir(exist_ok=True)
        (ROOT / "out" / "soak-comers.json").write_text(last)
    # The threads are Trio's, which keeps some for the next job.
    assert after["tasks"] <= before["tasks"]
    assert after["descriptors"] <= before["descriptors"] + 2
    assert after["threads"] <= before["threads"] + 16
    third = len(during) // 3
    grown = median(now["bytes"] for now in during[2 * third :]) - median(
        now["bytes"] for now in during[third : 2 * third]
    )
    assert grown < GROWTH


def test_whatever_a_killed_host_was_recording_can_be_read_repaired_and_replayed(tmp_path: Path) -> None:
    process = comers(tmp_path)
    assert process.stdout is not None
    for _ in range(2 * LIVE_AT_ONCE):
        process.stdout.readline()
    process.kill()
    process.communicate()
    traces = [read_trace(path) for path in sorted(tmp_path.glob("*.jsonl")) if path.stat().st_size]
    cut = [trace for trace in traces if trace.end is None]
    assert len(cut) >= LIVE_AT_ONCE // 2, "it was in the middle of things"
    for trace in traces:
        assert exactly(trace).same, trace.path
    for trace in cut:
        repair(trace, trace.path.with_name(f"repaired-{trace.path.name}"))
        repaired = read_trace(trace.path.with_name(f"repaired-{trace.path.name}"))
        assert repaired.end is not None
        assert repaired.rows() == trace.rows()
