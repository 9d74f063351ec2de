"""Clients that exist, unmodified, each in an environment of its own: a spoken round trip, a tool, a barge-in.

The environment is made once, below out/clients/. Where it cannot be, the tests are skipped with the reason.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowkit.replay.rerun import exactly
from tests.serve.programs import FETCHED, environment, server
from tests.serve.support import TALK

SCRIPT = Path(__file__).parent / "clients" / "openai_sdk.py"
SDK = "openai[realtime]==3.57.0"
FRAMEWORKS = {
    "pipecat": ("pipecat-ai[openai,websocket]==1.14.0",),
    "livekit": ("livekit-agents==1.8.9", "livekit-plugins-openai==1.8.9"),
}
CALLERS = ("streamdouble==0.3.0", "voicebench==0.2.0")
SLOW = os.environ.get("HYPOTHESIS_PROFILE") == "deep" or "FLOWKIT_CLIENTS" in os.environ
slow = pytest.mark.skipif(not SLOW, reason="takes minutes; runs with the profile deep, or with FLOWKIT_CLIENTS=1")
AGENTS = ("@openai/agents-realtime@0.20.0", "zod@4")
ANSWER = "Very well, thank you, it is a town on a river, with bridges and with towers."


@pytest.fixture(scope="module")
def sdk() -> Path:
    return environment("openai", SDK)


@pytest.fixture(scope="module")
def agents() -> Path:
    """A folder with the agents SDK for JavaScript, and the script that uses it."""
    folder = FETCHED / "agents"
    if (node := shutil.which("node")) is None or shutil.which("npm") is None:
        pytest.skip("there is no node, or no npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < 20:
        pytest.skip(f"the agents SDK needs Node 20 or newer; here is {version.strip()}")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ready").exists():
        (folder / "package.json").write_text('{"private": true}')
        try:
            install = ["npm", "install", "--no-audit", "--no-fund", *AGENTS]
            subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{AGENTS[0]} cannot be installed: {type(error).__name__}")
        (folder / "ready").touch()
    # Modules are looked for from where the script lies.
    return shutil.copy(SCRIPT.with_name("agents.mjs"), folder)


def talked(folder: Path, *command: str | Path, scheme: str = "http", text: str = TALK) -> dict[str, Any]:
    """What a client's script says has happened. `URL` stands for the server's."""
    with server(folder, text) as url:
        line = [str(part).replace("URL", url.replace("http", scheme, 1)) for part in command]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    happened: dict[str, Any] = json.loads(done.stdout)
    return happened


def test_the_python_sdk_async(sdk: Path, tmp_path: Path) -> None:
    happened = talked(tmp_path, sdk, SCRIPT, "URL", "async")
    assert (happened["spoken"], happened["called"]) == (ANSWER, "look")
    assert happened["answered"] == "It is on the left, beside the door."
    assert happened["interrupted"] == "turn_detected"
    assert happened["after"] == ANSWER
    assert happened["errors"] == ["item_delete_invalid_item_id"]
    (trace,) = (tmp_path / "traces" / "live").glob("*.jsonl")
    assert exactly(trace).same


def test_the_python_sdk_sync(sdk: Path, tmp_path: Path) -> None:
    happened = talked(tmp_path, sdk, SCRIPT, "URL", "sync")
    assert (happened["secret"], happened["instructions"]) == ("ek_", "Be kind.")
    assert happened["spoken"] == happened["text"] == ANSWER
    assert happened["errors"] == []


def test_the_agents_sdk_in_javascript(agents: Path, tmp_path: Path) -> None:
    happened = talked(tmp_path, "node", agents, "URL/realtime", scheme="ws")
    assert happened["errors"] == []
    assert (happened["spoken"], happened["called"], happened["after"]) == (ANSWER, "look", ANSWER)
    assert happened["answered"] == "It is on the left, beside the door."
    assert happened["interrupted"]
    assert happened["status"] == "cancelled"
    assert happened["audio"]


SPOKEN = TALK.replace("[How are you?, And else?, Good bye.]", "[How are you?, Where is it?, Tell me., Stop.]")


@slow
@pytest.mark.parametrize(("name", "address", "scheme"), [("pipecat", "URL/realtime", "ws"), ("livekit", "URL", "http")])
def test_a_framework_whose_model_is_this_server(name: str, address: str, scheme: str, tmp_path: Path) -> None:
    python = environment(name, *FRAMEWORKS[name])
    script = SCRIPT.with_name(f"{name}_realtime.py")
    happened = talked(tmp_path, python, script, address, scheme=scheme, text=SPOKEN)
    assert "timeout" not in happened
    assert happened["errors"] == []
    assert happened["heard"] == ["How are you?", "Where is it?", "Tell me.", "Stop."]
    first, *middle, interrupted, last = happened["said"]
    assert first == last == ANSWER
    assert "".join(middle).replace(" ", "") == "Letmesee.Itisontheleft,besidethedoor."
    assert happened["called"] == ["look"]
    assert ANSWER.startswith(interrupted)
    assert len(interrupted) < len(ANSWER)
    assert happened["interrupted"][-2:] == [True, False]
    assert happened["audio"]
    (trace,) = (tmp_path / "traces" / "live").glob("*.jsonl")
    assert exactly(trace).same


BENCH = """flowkit: 1
name: bench
interrupt: {speech_for: 260ms}
stages:
  - {kind: mic}
  - {kind: vad, provider: webrtcvad, end: 300ms}
  - kind: asr
    provider: scripted
    utterances: [hi there i need to change my booking, it's for next tuesday, actually wait make it wednesday, "", yes that works]
    partial_every: 200ms
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: "Very well, thank you, it is a town on a river, with many bridges."}]}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker}
"""
"""What voicebench says in its example. The fourth utterance is a cough."""


@slow
def test_voicebench_measures_its_own_example(tmp_path: Path) -> None:
    python = environment("callers", *CALLERS)
    voicebench = python.with_name("voicebench")
    shutil.copy(SCRIPT.with_name("voicebench_realtime.py"), tmp_path)
    example = subprocess.run([voicebench, "example", "mock-conversation"], capture_output=True, text=True, check=True)
    (tmp_path / "example.yaml").write_text(example.stdout)
    with server(tmp_path, BENCH) as url:
        command = [voicebench, "run", "example.yaml", "-a", "voicebench_realtime:RealtimeAdapter", "--no-write"]
        address = f"{url.replace('http', 'ws')}/realtime"
        environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command += ["--url", address]
        ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    # It ends with another code if the example's bounds are not met.
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "5/5" in ran.stdout


@slow
@pytest.mark.parametrize(("loss", "jitter_ms"), [(0, 0), (0.05, 40)])
def test_streamdouble_telephones(loss: float, jitter_ms: float, tmp_path: Path) -> None:
    pytest.importorskip("flowkit.serve.twilio")
    python = environment("callers", *CALLERS)
    token = "an-auth-token-of-twilio"
    script = SCRIPT.with_name("streamdouble_call.py")
    text = f"{TALK}serve: {{twilio: {{auth_token: {token}}}}}\n"
    with server(tmp_path, text) as url:
        command = [python, script, url.removesuffix("/v1"), token, str(loss), str(jitter_ms)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    happened = json.loads(ran.stdout)
    assert happened["violations"] == []
    assert (happened["clears"], happened["closed_by"]) == (1, None)
    assert happened["first_audio_s"] < 2.5
    assert happened["audio_s"] > 2
    assert happened["marks"] > 5
    assert (happened["lost"] > 0) is (loss > 0)
    (trace,) = (tmp_path / "traces" / "live").glob("*.jsonl")
    assert exactly(trace).same
