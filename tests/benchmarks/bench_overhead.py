"""flowkit's own share of the time to first audio: what a turn takes beyond what its providers were told to take.

A hundred scripted turns in real time, watched as a live session is. Beside them, in the same event loop, a bare Trio program sleeps
the same times, turn for turn: what it is late by is the machine's and the timers' share, and is taken off. A share begins when the
microphone frame is due that ends the utterance, and ends when the speaker's provider holds the first sound.

The system's timers count whole milliseconds from when the loop went to sleep. Were all times whole milliseconds too, each wait
would be rounded up alike in every turn, the session's otherwise than the bare program's, by up to a millisecond a wait. So there
are twenty sessions of five turns, whose providers take other fractions of a millisecond each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import trio

from flowkit.config import load
from flowkit.engine import Row
from flowkit.messages import EndOfUtterance, Frames, Message, Play
from flowkit.options import Options
from flowkit.plan import require
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.base import Emit, Provider
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.host import run_alone
from flowkit.runtime.session import SessionOutcome
from flowkit.testing.sessions import Kept

PIPELINE = Path(__file__).resolve().parents[2] / "pipelines" / "scripted-100-turns.yaml"
P50_BOUND_MS, P99_BOUND_MS = 1.5, 4.0
SESSIONS, TURNS = 20, 5
FRACTIONS = {"asr": ("final_after", 50), "llm": ("first_token", 350), "tts": ("first_audio", 650)}
"""What a scripted provider is told to take, and by how many microseconds a session's differs from the one before."""


class Ear(Provider):
    """A speaker that only notes when each reply's first sound came."""

    kind, name = "speaker", "ear"
    heard_us: ClassVar[dict[int, int]] = {}

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for item in fed:
            if isinstance(item, Play):
                self.heard_us.setdefault(item.epoch, self.around.now_us())


def with_ear(plan: Plan) -> Plan:
    ear = ProviderChoice("ear", Ear, Options())
    return replace(plan, stages=tuple(replace(s, provider=ear) if s.kind == "speaker" else s for s in plan.stages))


def with_fractions(plan: Plan, session: int) -> Plan:
    """The providers take a fraction of a millisecond longer, another one in each session."""
    stages = []
    for stage in plan.stages:
        if stage.provider is not None and stage.kind in FRACTIONS:
            name, step = FRACTIONS[stage.kind]
            taken_us = getattr(stage.provider.options, name) + (step * session + 25) % 1000
            options = stage.provider.options.model_copy(update={name: taken_us})
            stage = replace(stage, provider=replace(stage.provider, options=options))
        stages.append(stage)
    return replace(plan, stages=tuple(stages))


def declared_us(plan: Plan) -> tuple[int, ...]:
    """What the providers take of each turn, one after the other."""
    asr, llm, tts = (plan.stage(kind).provider for kind in ("asr", "llm", "tts"))
    assert asr is not None
    assert llm is not None
    assert tts is not None
    return asr.options.final_after, llm.options.first_token, tts.options.first_audio  # type: ignore[attr-defined]


async def bare(clock: SessionClock, starts_us: list[int], sleeps_us: tuple[int, ...], late_us: list[int]) -> None:
    """The same sleeps, turn for turn, with nothing between them."""
    while clock.now_us() == 0:
        await trio.sleep(0.01)
    for start_us in starts_us:
        await trio.sleep_until(clock.at_s(start_us))
        for sleep_us in sleeps_us:
            await trio.sleep(sleep_us / 1e6)
        late_us.append(clock.now_us() - start_us - sum(sleeps_us))


async def session(plan: Plan) -> tuple[SessionOutcome, list[Row], list[int]]:
    clock, late_us, kept = SessionClock(), list[int](), Kept()
    mic, vad = plan.stage("mic").provider, plan.stage("vad").options
    assert mic is not None
    ends = [-(-(s.at + s.lasts) // plan.frame_us) * plan.frame_us for s in mic.options.speech]  # type: ignore[attr-defined]
    starts = [end + vad.end for end in ends]  # type: ignore[attr-defined]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bare, clock, starts[:TURNS], declared_us(plan), late_us)
        outcome = await run_alone(plan, notice=lambda line: None, clock=clock, turns=TURNS, observers=(kept,))
    return outcome, kept.all, late_us


def shares_us(plan: Plan, rows: list[Row]) -> list[int]:
    """Each turn's time from the frame that ended the utterance to its first sound, less what the providers took."""
    opened_us = min(
        row.sent_us - (row.message.index + 1) * plan.frame_us
        for row in rows
        if row.stage == "mic" and isinstance(row.message, Frames)
    )  # frames are due from when the microphone was opened, a moment after the session's zero; a timer is never early
    silence_frames = -(-plan.stage("vad").options.end // plan.frame_us)  # type: ignore[attr-defined]
    ended_us = [
        opened_us + (row.message.last_voiced + 1 + silence_frames) * plan.frame_us
        for row in rows
        if row.stage == "asr" and isinstance(row.message, EndOfUtterance)
    ]
    heard_us = [Ear.heard_us[epoch] for epoch in sorted(Ear.heard_us)]
    turns = list(zip(ended_us, heard_us, strict=False))[:TURNS]
    return [heard - ended - sum(declared_us(plan)) for ended, heard in turns]


def quantile(values: list[int], share: float) -> float:
    """In milliseconds; the nearest rank."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] / 1000


def main() -> None:
    whole = with_ear(require(load(PIPELINE)))
    ours, late_us, stalls, reasons = list[int](), list[int](), 0, set[str]()
    for number in range(SESSIONS):
        Ear.heard_us.clear()
        plan = with_fractions(whole, number)
        outcome, rows, late = trio.run(session, plan)
        ours += shares_us(plan, rows)
        late_us += late
        stalls += outcome.figures.stalls.held
        reasons.add(outcome.reason)
    p50, p99 = (round(quantile(ours, q) - quantile(late_us, q), 3) for q in (0.5, 0.99))
    result = {
        "name": "flowkit's own share of TTFA above a bare Trio program",
        "value": p50,
        "unit": "ms",
        "bound": P50_BOUND_MS,
        "p99": p99,
        "p99_bound": P99_BOUND_MS,
        "ok": p50 <= P50_BOUND_MS and p99 <= P99_BOUND_MS and len(ours) == len(late_us) == SESSIONS * TURNS,
        "turns": len(ours),
        "flowkit_ms": {"p50": quantile(ours, 0.5), "p99": quantile(ours, 0.99)},
        "bare_trio_ms": {"p50": quantile(late_us, 0.5), "p99": quantile(late_us, 0.99)},
        "stalls": stalls,
        "reasons": sorted(reasons),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
