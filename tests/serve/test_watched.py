"""What those who run a server read: each metric means what its help says, and the log holds no content."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import trio

from flowkit import secrets
from flowkit.config import load
from flowkit.errors import UsageError
from flowkit.replay.rerun import exactly
from flowkit.replay.settings import changed_plan, recorded_plan
from flowkit.runtime.host import open_host
from flowkit.serve.log import to_stderr
from flowkit.serve.pipeline import served
from flowkit.serve.server import RealtimeServer, sampled
from flowkit.trace.reader import read_trace
from tests.serve.support import silence, tone
from tests.serve.wire import Caller, Site, caller, get, in_time

HEARD, SAID, TOKEN = "Heard-canary four", "Said-canary seven, and then more of it, and even more.", "token-canary-4711"
WATCHED = f"""flowkit: 1
name: watched
stages:
  - {{kind: mic}}
  - {{kind: vad, provider: scripted, end: 200ms}}
  - {{kind: asr, provider: scripted, utterances: [{HEARD}, {HEARD}, {HEARD}]}}
  - {{kind: gate}}
  - kind: llm
    provider: scripted
    replies: [{{text: "Fails.", to: Fail now., fail_after: 0}}, {{text: "{SAID}"}}]
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker}}
serve: {{tokens: [{TOKEN}], limits: {{per_peer: 1}}}}
"""
BEARER = {"authorization": f"Bearer {TOKEN}"}


async def figures(it: Site) -> dict[str, float]:
    """The metrics, by name and labels."""
    status, _, text = await it.ask(get("/metrics", f"authorization: Bearer {TOKEN}"), peer="10.0.0.9")
    assert status == 200
    return {name: float(value) for name, value in re.findall(r"^(flowkit.*) (\S+)$", text.decode(), re.MULTILINE)}


async def busy_day(it: Site) -> dict[str, float]:
    """A spoken turn, an interruption, a model that fails, a second session of a peer, a wrong token; the metrics in between."""
    client = await caller(it, **BEARER)
    await client.say(tone(600_000) + silence(600_000))
    await client.until("response.output_audio.delta")
    await client.say(tone(800_000) + silence(600_000))
    await client.until("response.done")
    during = await figures(it)
    assert (during["flowkit_sessions"], during["flowkit_sessions_limit"]) == (1, 100)
    assert during['flowkit_queue_messages{stage="llm"}'] == 0
    assert 0 <= during['flowkit_queue_fullest_ratio{stage="gate"}'] < 1
    for headers, status in ((BEARER, 429), ({"authorization": f"Bearer {TOKEN}x"}, 401)):
        refused = Caller(it.connect(), headers=headers)
        await refused.open()
        assert refused.status == status
    await client.until("response.done")
    await client.write("Fail now.")
    await client.until("response.done")
    client.stream.send_stream.close()
    client.stream.receive_stream.close()
    while it.server.host.gauges.sessions:
        await trio.sleep(0.1)
    return await figures(it)


def watched(log: Any, *settings: str) -> dict[str, float]:
    async def main() -> dict[str, float]:
        config, plan = served(load("watched.yaml", text=WATCHED, overrides=settings))
        async with open_host(config, notice=lambda line: None) as host, trio.open_nursery() as nursery:
            server = RealtimeServer(host, plan, config.top.serve, "127.0.0.1", log=log, traces=sampled(config))
            found = await busy_day(Site(server, nursery, []))
            nursery.cancel_scope.cancel()
        return found

    found: dict[str, float] = in_time(main)
    return found


def test_each_metric_is_there_and_right() -> None:
    found = watched(lambda *_, **__: None, "serve.trace.sample=0")
    assert (found["flowkit_sessions"], found["flowkit_sessions_begun_total"]) == (0, 1)
    assert found['flowkit_sessions_refused_total{code="too_many_sessions"}'] == 1
    assert found['flowkit_sessions_refused_total{code="invalid_api_key"}'] == 1
    assert found['flowkit_connections_dropped_total{reason="the client is gone"}'] == 1
    assert found["flowkit_interrupts_total"] == 1
    ends = sum(number for name, number in found.items() if name.startswith("flowkit_user_turn_ends_total{"))
    assert ends == sum(number for name, number in found.items() if name.startswith("flowkit_turns_total{"))
    assert found['flowkit_provider_faults_total{stage="llm"}'] >= 1
    assert found['flowkit_http_requests_total{status="429"}'] == 1
    turns = sum(value for name, value in found.items() if name.startswith("flowkit_turns_total"))
    assert turns == 3
    assert found["flowkit_ttfa_seconds_count"] == 2
    assert 0.2 < found["flowkit_ttfa_seconds_sum"] / 2 < 2
    buckets = [value for name, value in found.items() if name.startswith("flowkit_ttfa_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    assert found["flowkit_loop_lag_seconds"] < 0.05
    assert {
        "flowkit_loop_stalls_total",
        "flowkit_sessions_failed_total",
        "flowkit_cpu_seconds_per_session_second",
    } <= set(found)


def test_the_log_has_a_line_for_each_event_and_no_content(capsys: pytest.CaptureFixture[str]) -> None:
    secrets.forget()
    watched(to_stderr, "serve.trace.sample=0")
    lines = capsys.readouterr().err.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["session began", "session ended"]
    assert all(event["session"].startswith("sess_") and event["at"].endswith("+00:00") for event in events)
    assert "canary" not in "\n".join(lines).lower()


def test_a_session_of_a_server_replays_with_the_file_that_is_served(tmp_path: Path) -> None:
    for number, settings in enumerate([(), ("serve.greeting=false", "stages.gate.greeting={text: Hello}")]):
        file, folder = tmp_path / f"own-{number}.yaml", tmp_path / str(number)
        file.write_text(WATCHED)
        watched(lambda *_, **__: None, f"trace.dir={folder}", *settings)
        (path,) = folder.glob("*.jsonl")
        trace = read_trace(path)
        recorded = recorded_plan(trace)
        own = changed_plan(trace, recorded, pipeline=str(file), overrides=settings)
        assert [(stage.id, stage.options) for stage in own.stages] == [
            (stage.id, stage.options) for stage in recorded.stages
        ]


def test_a_pipeline_without_a_model_cannot_replay_a_session_of_a_server(tmp_path: Path) -> None:
    watched(lambda *_, **__: None, f"trace.dir={tmp_path}")
    (path,) = tmp_path.glob("*.jsonl")
    trace, file = read_trace(path), tmp_path / "deaf.yaml"
    file.write_text("flowkit: 1\nstages:\n  - {kind: mic}\n  - {kind: vad, provider: scripted}\n")
    with pytest.raises(UsageError, match="cannot replay with another list of stages"):
        changed_plan(trace, recorded_plan(trace), pipeline=str(file))


def test_a_session_of_a_server_with_tokens_replays(tmp_path: Path) -> None:
    auth = "serve.twilio={auth_token: another-canary-0815, key_pause: 2s}"
    watched(lambda *_, **__: None, f"trace.dir={tmp_path}", auth)
    (trace,) = tmp_path.glob("*.jsonl")
    assert "canary-4711" not in trace.read_text()
    assert "another-canary" not in trace.read_text()
    assert "key_pause: 2s" in trace.read_text()
    assert exactly(trace).same
