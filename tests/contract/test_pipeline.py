"""Whole sessions with cloud providers against the emulators: as users run them, and five hundred turns with random
faults."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from flowkit.config import load
from flowkit.engine import Row
from flowkit.messages import ClauseEnded, ClauseStarted, Heard, Utterance
from flowkit.options import us
from flowkit.plan import require, with_files
from flowkit.plan.graph import Plan
from flowkit.providers.registry import missing
from flowkit.runtime.host import run_alone
from flowkit.runtime.session import SessionOutcome
from flowkit.testing.emulators import AssemblyAIEmulator, CartesiaEmulator, GroqEmulator, ServerFault, running
from flowkit.testing.sessions import Kept

ROOT = Path(__file__).parents[2]
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
TURNS = int(os.environ.get("FLOWKIT_SOAK_TURNS", 500 if DEEP else 12))
APOLOGY = "Sorry, one moment."
QUESTION = "what is the capital of france"
FAULTY = [
    fault
    for fault in ServerFault
    if fault not in (ServerFault.SLOW_LORIS, ServerFault.NEVER_ACCEPT, ServerFault.OVERSIZED, ServerFault.IDLE_CLOSE)
]
"""Those left out hold up a turn for seconds of real time; they have tests of their own."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[dict[str, Any]]:
    """The emulators of the three services."""
    asr = AssemblyAIEmulator(turns=(QUESTION,) * 2_000, word_ms=20, pause_s=0.05)
    with (
        running(asr),
        running(GroqEmulator(pause_s=0.05)) as llm,
        running(CartesiaEmulator(ms_per_char=5, pause_s=0.05)) as tts,
    ):
        yield {"asr": asr, "llm": llm, "tts": tts}


def environment(cloud: dict[str, Any]) -> dict[str, str]:
    return {
        "ASSEMBLYAI_API_KEY": "key-assemblyai",
        "GROQ_API_KEY": "key-groq",
        "CARTESIA_API_KEY": "key-cartesia",
        "ASSEMBLYAI_URL": cloud["asr"].ws_url,
        "GROQ_URL": cloud["llm"].url,
        "CARTESIA_URL": cloud["tts"].ws_url,
    }


def session(plan: Plan, **more: Any) -> tuple[SessionOutcome, Kept]:
    kept = Kept()
    return trio.run(lambda: run_alone(plan, notice=lambda line: None, observers=(kept,), **more)), kept


def heard(rows: list[Row]) -> dict[int, str]:
    """The text that was played in each turn."""
    turns: dict[int, str] = {}
    for row in rows:
        if row.stage == "gate" and isinstance(row.message, Heard) and row.message.played:
            turns[row.turn] = f"{turns.get(row.turn, '')} {row.message.text}".strip()
    return turns


# -- the pipeline that ships -------------------------------------------------------------------------------------------


def shipped(cloud: dict[str, Any], tmp_path: Path, *more: str) -> Plan:
    config = load(ROOT / "pipelines/assistant-cloud.yaml", overrides=list(more), environ=environment(cloud))
    plan = require(with_files(config, str(ROOT / "pipelines/audio/question.wav"), str(tmp_path / "out.wav")))
    absent = [c.name for s in plan.stages if s.provider for c in (s.provider, *s.failover) if missing(c.cls)]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    return plan


def test_the_cloud_pipeline_answers_through_all_three_services(cloud: dict[str, Any], tmp_path: Path) -> None:
    outcome, kept = session(shipped(cloud, tmp_path))
    assert outcome.reason == "input_ended"
    asked = [row.message.text for row in kept.all if row.stage == "llm" and isinstance(row.message, Utterance)]
    assert asked == [QUESTION]
    assert " ".join(heard(kept.all)[1].split()) == f"You said: {QUESTION} That is all I know. Ask me something else."
    done = [detail for _, name, detail in kept.events if name == "attempt"]
    assert any("llm groq" in line and "done" in line for line in done)
    assert not any("failed" in line for line in done), done
    assert cloud["asr"].seen[-1].messages[-1] == {"type": "Terminate"}


def test_the_cloud_pipeline_answers_without_its_clouds_and_shows_no_key(cloud: dict[str, Any], tmp_path: Path) -> None:
    keys = [f"stages.{stage}.api_key=secret-{stage}-fault:http_401" for stage in ("asr", "llm", "tts")]
    plan = shipped(cloud, tmp_path, *keys)
    outcome, kept = session(plan)
    assert outcome.reason == "input_ended"
    assert heard(kept.all)[1]
    left = " ".join(detail for _, name, detail in kept.events if name == "attempt")
    for stage in ("asr assemblyai", "llm groq", "tts cartesia"):
        assert f"{stage} 1: failed" in left
    assert "(auth)" in left
    assert "secret-" not in repr(plan) + repr(kept.all) + repr(kept.events)


# -- five hundred turns of random faults -------------------------------------------------------------------------------

SOAK = """
flowkit: 1
name: soak
interrupt: {{speech_for: 60ms}}
stages:
  - {{kind: mic, provider: scripted, frame: 10ms, speech: [{speech}]}}
  - {{kind: vad, provider: scripted, end: 60ms, start: 20ms}}
  - kind: asr
    provider: assemblyai
    api_key: k
    base_url: {asr}
    catch_up: 10
    final_within: 150ms
    first_item_timeout: 300ms
    retry: {{max: 1, backoff: 10ms}}
    circuit: {{open_after: 2, probe_every: 300ms}}
    failover: [{{provider: scripted, utterances: [{heard}], final_after: 10ms}}]
  - {{kind: gate}}
  - kind: llm
    provider: groq
    api_key: k
    base_url: {llm}
    first_token_timeout: 150ms
    idle_timeout: 150ms
    retry: {{max: 1, backoff: 10ms}}
    circuit: {{open_after: 5, probe_every: 200ms}}
    failover: [{{provider: canned, text: "{apology}"}}]
  - {{kind: chunker}}
  - kind: tts
    provider: cartesia
    voice: v
    api_key: k
    base_url: {tts}
    first_item_timeout: 150ms
    idle_timeout: 150ms
    retry: {{max: 1, backoff: 10ms}}
    circuit: {{open_after: 5, probe_every: 200ms}}
    failover: [{{provider: scripted, first_audio: 10ms, per_char: 2ms}}]
  - {{kind: speaker}}
"""
EVERY_MS, LASTS_MS = 1_300, 200


def soak_plan(cloud: dict[str, Any], turns: int, tmp_path: Path) -> Plan:
    speech = ", ".join(f"{{at: {200 + turn * EVERY_MS}ms, lasts: {LASTS_MS}ms}}" for turn in range(turns))
    file = tmp_path / "soak.yaml"
    urls = {"asr": cloud["asr"].ws_url, "llm": cloud["llm"].url, "tts": cloud["tts"].ws_url}
    utterances = ", ".join([f'"{QUESTION}"'] * turns)
    file.write_text(SOAK.format(speech=speech, apology=APOLOGY, heard=utterances, **urls))
    return require(load(file, environ={}))


@pytest.mark.filterwarnings("error")
def test_every_turn_ends_in_speech_or_in_the_declared_apology(cloud: dict[str, Any], tmp_path: Path) -> None:
    dice = random.Random(20_26)
    for emulator in cloud.values():
        emulator.faults.plan = [
            dice.choice(FAULTY) if dice.random() < 0.6 else ServerFault.NONE for _ in range(10 * TURNS)
        ]
    plan = soak_plan(cloud, TURNS, tmp_path)
    try:
        outcome, kept = session(plan, duration_us=us(f"{(TURNS + 2) * EVERY_MS}ms"))
    finally:
        for emulator in cloud.values():
            emulator.faults.plan = []
    gc.collect()
    assert outcome.reason in ("input_ended", "closed")
    released = [row.message for row in kept.all if row.stage == "llm" and isinstance(row.message, Utterance)]
    sounded = heard(kept.all)
    dumb = [u.turn for u in released if not sounded.get(u.turn)]
    assert len(released) == TURNS
    assert dumb == [], f"{len(dumb)} of {len(released)} turns were silent: {dumb[:10]}"
    whole = sum(text.endswith("Ask me something else.") for text in sounded.values())
    assert all(text.endswith((APOLOGY, "else.")) or APOLOGY in text or whole for text in sounded.values())
    for number in {row.turn for row in kept.all if row.stage == "speaker"}:
        marks = [row.message for row in kept.all if row.stage == "speaker" and row.turn == number]
        begun = [m.clause for m in marks if isinstance(m, ClauseStarted)]
        ended = [m.clause for m in marks if isinstance(m, ClauseEnded)]
        assert begun == sorted(set(begun)), "a clause began twice"
        assert ended == sorted(set(ended)), "a clause ended twice"


def test_nothing_is_left_of_a_session(cloud: dict[str, Any], tmp_path: Path) -> None:
    plan = soak_plan(cloud, 3, tmp_path)
    session(plan, duration_us=us("5s"))
    gc.collect()
    fds = open_sockets()
    session(plan, duration_us=us("5s"))
    gc.collect()
    assert open_sockets() <= fds


def open_sockets() -> int:
    """The number of open sockets of this process. The emulators close their ends a moment after the client."""
    return sum("socket" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _link(fd))


def _link(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")
