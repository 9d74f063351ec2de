"""Sessions that come and go leave nothing behind in their host: no engine, task, thread, descriptor, nor memory."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from flowkit.config import load
from flowkit.engine import Engine
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import LiveSession
from flowkit.trace.reader import read_trace

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
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


def test_sessions_that_come_and_go_leave_nothing_behind() -> None:
    before, *_, last = trio.run(waves, clock=MockClock(autojump_threshold=0))
    assert last["engines"] == last["sessions"] == 0
    assert last["threads"] <= before["threads"]
    assert last["descriptors"] <= before["descriptors"]
    assert last["kilobytes"] - before["kilobytes"] < 10_000
