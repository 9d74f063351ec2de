"""However long a session is, its process holds no more than in the beginning: no memory, descriptors, threads, tasks.

Seconds of real time, and minutes of virtual time, in CI. In the profile `deep` an hour of the one and a day of the other;
FLOWKIT_SOAK_S and FLOWKIT_SOAK_VIRTUAL_S say otherwise.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from statistics import median

from flowkit.testing.emulators import AssemblyAIEmulator, CartesiaEmulator, GroqEmulator, ServerFault, running
from tests.contract.test_pipeline import FAULTY, QUESTION

ROOT = Path(__file__).parents[2]
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
LIVE_S = int(os.environ.get("FLOWKIT_SOAK_S", 3_600 if DEEP else 6))
VIRTUAL_S = int(os.environ.get("FLOWKIT_SOAK_VIRTUAL_S", 24 * 3_600 if DEEP else 1_200))
GROWTH = 5_000_000
"""Bytes that an hour may add: the figures of each turn, and a byte for each of the microphone's frames."""

Samples = list[dict[str, int]]


def talk(*how: str) -> Samples:
    """The samples of another process that runs this conversation.

    With the profile `deep` they are kept in the folder out/.
    """
    run = [sys.executable, "-X", "faulthandler", "-m", "tests.soak.talk", *how]
    samples = json.loads(subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout)
    assert len(samples) >= 20
    if DEEP:
        (ROOT / "out").mkdir(exist_ok=True)
        (ROOT / "out" / f"soak-{how[0]}.json").write_text(json.dumps(samples))
    return samples


def check_flat(samples: Samples) -> None:
    """What is held in the last third is no more than in the second; the first is for what is loaded when it is needed."""
    third = len(samples) // 3
    before, after = samples[third : 2 * third], samples[2 * third :]
    for what in ("descriptors", "threads", "tasks"):
        assert median(now[what] for now in after) <= median(then[what] for then in before) + 1, what
    assert median(now["bytes"] for now in after) - median(then["bytes"] for then in before) < GROWTH


def test_real_time_talk_with_failing_services() -> None:
    dice = random.Random(18)
    with (
        running(AssemblyAIEmulator(turns=(QUESTION,) * (LIVE_S + 10), word_ms=20, pause_s=0.05)) as asr,
        running(GroqEmulator(pause_s=0.05)) as llm,
        running(CartesiaEmulator(ms_per_char=5, pause_s=0.05)) as tts,
    ):
        for emulator in (asr, llm, tts):
            emulator.faults.plan = [
                dice.choice(FAULTY) if dice.random() < 0.3 else ServerFault.NONE for _ in range(8 * LIVE_S)
            ]
        check_flat(talk("live", str(LIVE_S), asr.ws_url, llm.url, tts.ws_url))


def test_virtual_talk() -> None:
    check_flat(talk("virtual", str(VIRTUAL_S)))
