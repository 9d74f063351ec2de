"""The share of `flowkit serve` in the time to first audio, over the wire, with scripted providers and recording on. Prints JSON.

The server has a core of its own, and the clients another. Each client sends 100 ms of audio every 100 ms, and speaks every 3.6 s.
The providers wait as in bench_sessions.py: the first token after 150 ms, then 60 a second, and the voice's first sound after 80 ms.
The first sentence has ten tokens, and the chunker waits for the one behind it. So the ideal is 397 ms from the moment at which the
client sends the audio that ends the utterance, to the first audio in its hands. What a turn takes beyond that is flowkit's share,
with the loopback and the client's own work in it.

    .venv/bin/python tests/benchmarks/bench_serve.py 1 --turns 20
    .venv/bin/python tests/benchmarks/bench_serve.py 50

Others on the machine make the figures worse; `load` and `bare_over_ideal_ms` show how much: the latter is what a bare Trio program
takes beyond the same ideal, meanwhile, on the clients' core. `chrt -f 10` before the command keeps others away.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import trio

from tests.benchmarks.bench_sessions import FIRST, PERIOD_US, REST, SPEECH_US, TOKEN_US, bare, spread
from tests.serve.support import silence, tone
from tests.serve.wire import Caller

IDEAL_S = (150_000 + len(FIRST) * TOKEN_US + 80_000) / 1e6
PIECE_S = 0.1
SPOKEN, PERIOD = SPEECH_US // 100_000, PERIOD_US // 100_000
"""How many pieces have a voice in them, and after how many the next turn begins."""
MOST_TURNS = 100
VOICE, SILENCE = (base64.b64encode(pcm).decode() for pcm in (tone(100_000), silence(100_000)))
PIPELINE = f"""flowkit: 1
name: bench
stages:
  - {{kind: mic}}
  - {{kind: vad, provider: scripted, end: 100ms, start: 20ms}}
  - {{kind: asr, provider: scripted, final_after: 0ms, utterances: [{", ".join(["hello there"] * MOST_TURNS)}]}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, first_token: 150ms, per_token: {TOKEN_US}us,
     replies: [{{tokens: {json.dumps(FIRST + REST)}}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, first_audio: 80ms, per_piece: 5ms, piece: 20ms, per_char: 40ms}}
  - {{kind: speaker}}
serve: {{limits: {{per_peer: 1000, sessions: 1000}}}}
"""


class Arrivals(list[dict[str, Any]]):
    """The events of a client, and when those came that matter."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped_s: list[float] = []
        self.sounded_s: list[float] = []

    def append(self, event: dict[str, Any]) -> None:
        """Note an event. Only the first audio of a response counts."""
        if event["type"] == "input_audio_buffer.speech_stopped":
            self.stopped_s.append(trio.current_time())
        elif event["type"] == "response.output_audio.delta" and len(self.sounded_s) < len(self.stopped_s):
            self.sounded_s.append(trio.current_time())


class Client:
    """One client; it begins to speak so many seconds later than others."""

    def __init__(self, phase_s: float, turns: int) -> None:
        self.phase_s = phase_s
        self.turns = turns
        self.arrivals = Arrivals()
        self.sent_s: list[list[float]] = []
        """For each turn, when each piece behind the voice was sent."""

    async def run(self, port: int) -> None:
        """Talk for some turns."""
        await trio.sleep(self.phase_s)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            caller = Caller(stream)
            caller.got = self.arrivals
            if not await caller.open():
                raise SystemExit(f"refused with status {caller.status}; is the machine too busy?")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(caller.until_closed)
                await self._talk(caller)
                nursery.cancel_scope.cancel()

    async def _talk(self, caller: Caller) -> None:
        next_s = trio.current_time()
        for number in range(5 + self.turns * PERIOD):
            place = (number - 5) % PERIOD
            voiced = number >= 5 and place < SPOKEN
            if number >= 5 and place == SPOKEN:
                self.sent_s.append([])
            if self.sent_s and not voiced:
                self.sent_s[-1].append(trio.current_time())
            await caller.send("input_audio_buffer.append", audio=VOICE if voiced else SILENCE)
            next_s += PIECE_S
            await trio.sleep_until(next_s)

    def decisive(self) -> list[int]:
        """Which piece behind the voice ended each utterance."""
        return [
            sum(sent_s <= stopped_s for sent_s in sent) - 1
            for sent, stopped_s in zip(self.sent_s, self.arrivals.stopped_s, strict=True)
        ]

    def over_ideal_ms(self, decisive: int) -> list[float]:
        """What each turn took beyond the ideal."""
        pairs = zip(self.sent_s, self.arrivals.sounded_s, strict=True)
        return [1000 * (sounded_s - sent[decisive] - IDEAL_S) for sent, sounded_s in pairs]


@contextmanager
def server(folder: Path, core: int) -> Any:
    """A server on a core of its own: its port, and its process."""
    (folder / "bench.yaml").write_text(PIPELINE)
    command = [sys.executable, "-m", "flowkit", "serve", "bench.yaml", "--port", "0"]
    log = (folder / "log").open("w")
    with log, subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            os.sched_setaffinity(process.pid, {core})
            assert process.stdout is not None
            found = re.search(r"http://[^:]+:(\d+)", process.stdout.readline())
            assert found is not None
            yield int(found[1]), process
        finally:
            process.terminate()


def cpu_s(pid: int) -> float:
    """The CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measured(port: int, pid: int, sessions: int, turns: int) -> dict[str, Any]:
    """Let clients talk, and a bare program beside them."""
    clients = [Client(0.1 + PERIOD_US / 1e6 * number / sessions, turns) for number in range(sessions)]
    bare_ms: list[float] = []

    async def beside() -> None:
        bare_ms.extend(await bare(3 * turns))

    before_s = cpu_s(pid)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beside)
        for client in clients:
            nursery.start_soon(client.run, port)
    spent_s = cpu_s(pid) - before_s
    decisive = min(place for client in clients for place in client.decisive())
    return {
        "over_ideal_ms": spread([late for client in clients for late in client.over_ideal_ms(decisive)]),
        "answered": sum(len(client.arrivals.sounded_s) for client in clients),
        "decisive_piece": decisive,
        "server_cpu_ms_a_session_s": round(1000 * spent_s / (sessions * (0.5 + turns * PERIOD_US / 1e6)), 2),
        "bare_over_ideal_ms": spread(bare_ms),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sessions", type=int, nargs="?", default=50)
    parser.add_argument("--turns", type=int, default=4, choices=range(1, MOST_TURNS + 1), metavar="N")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    begin = time.thread_time()
    sum(i for i in range(3_000_000))
    loop_s = time.thread_time() - begin
    found: dict[str, Any] = {
        "sessions": args.sessions,
        "turns": args.turns,
        "cores": len(cores),
        "load": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name, server(Path(name), cores[-1]) as (port, process):
        os.sched_setaffinity(0, {cores[0]})
        found |= trio.run(measured, port, process.pid, args.sessions, args.turns)
    print(json.dumps({**found, "python_loop_of_3M_s": round(loop_s, 3)}, indent=1))


if __name__ == "__main__":
    main()
