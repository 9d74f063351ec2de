"""Real processes behind one port: one is killed while clients talk, and all are ended by SIGTERM while they do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from flowkit.cli import main
from flowkit.jobs import cores
from flowkit.replay.rerun import exactly
from tests.serve.support import TALK
from tests.serve.wire import Caller

SHORT = TALK.replace(", it is a town on a river, with bridges and with towers.", ".") + (
    "serve: {limits: {per_peer: 1000}}  # chance decides which worker takes a connection, so it may take many\n"
)


class Server:
    """A server of two workers, and its log, read while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self._lines = SimpleQueue[str]()
        self._stderr = process.stderr
        threading.Thread(target=self._read, daemon=True).start()
        found = re.search(r"http://\S+/v1", line := process.stdout.readline())
        assert found is not None, line
        url = urlsplit(found[0])
        self.host, self.port = str(url.hostname), url.port or 0
        self.logged: list[dict[str, Any]] = []
        self.connections = AsyncExitStack()

    def _read(self) -> None:
        for line in self._stderr:
            self._lines.put(line)

    def until(self, event: str, count: int) -> list[dict[str, Any]]:
        """Read the log until there are so many of these events."""
        while len(found := [one for one in self.logged if one["event"] == event]) < count:
            self.logged.append(json.loads(self._lines.get(timeout=60)))
        return found

    async def caller(self, path: str = "/v1/realtime", **headers: str) -> Caller:
        stream = await trio.open_tcp_stream(self.host, self.port)
        self.connections.push_async_callback(trio.aclose_forcefully, stream)
        client = Caller(stream, path, headers)
        await client.open()
        return client

    async def get(self, path: str, method: str = "GET", body: str = "") -> tuple[int, str]:
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\nconnection: close"
        data = b""
        async with await trio.open_tcp_stream(self.host, self.port) as stream:
            await stream.send_all(f"{head}\r\n\r\n{body}".encode())
            while more := await stream.receive_some():
                data += more
        status, _, text = data.decode().partition("\r\n\r\n")
        return int(status.split()[1]), text


@contextmanager
def two_workers(folder: Path) -> Iterator[Server]:
    (folder / "talk.yaml").write_text(SHORT)
    # Sooner than by default, since a test waits for it.
    code = "import sys; from flowkit.serve import parent; parent.WATCH_S = 2.0; from flowkit.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "talk.yaml", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            server = Server(process)
            server.until("worker ready", 2)
            yield server
        finally:
            process.kill()


async def talkers(server: Server) -> dict[int, list[Caller]]:
    """Clients to whom the agent speaks, by worker: two of each at least."""
    clients, found = dict[str, Caller](), dict[int, list[Caller]]()
    before = len([one for one in server.logged if one["event"] == "session began"])
    while len(found) < 2 or min(map(len, found.values())) < 2:
        client = await server.caller()
        if client.status == 503:  # that worker is busy; another connection may reach the other one
            continue
        session = (await client.until("session.created"))["session"]["id"]
        clients[session] = client
        began = server.until("session began", before + len(clients))[before:]
        found = {number: [clients[one["session"]] for one in began if one["worker"] == number] for number in (1, 2)}
    for client in clients.values():
        await client.write("Tell me.")
    for client in clients.values():
        await client.until("response.output_audio.delta")
    return found


def test_a_worker_is_killed_and_then_all_are_ended(tmp_path: Path) -> None:
    async def client() -> None:
        with trio.fail_after(60):
            async with server.connections:
                await talk()

    async def talk() -> None:
        secret = json.loads((await server.get("/v1/realtime/client_secrets", "POST", "{}"))[1])["value"]
        found = await talkers(server)
        # Whichever worker is asked, it looks into the sessions of both.
        ids = {client.got[0]["session"]["id"] for clients in found.values() for client in clients}
        for id in sorted(ids) * 2:
            assert (await (await server.caller(f"/v1/flowkit/observe?session={id}")).until("observation"))[
                "session"
            ] == id
        listed = json.loads((await server.get("/v1/flowkit/sessions"))[1])["running"]
        assert {one["session"] for one in listed} == ids
        killed = next(one for one in server.logged if one["event"] == "worker started" and one["worker"] == 1)
        os.kill(killed["pid"], signal.SIGKILL)
        for client in found[1]:
            assert await client.until_closed() is None
        for client in found[2]:
            assert (await client.until("response.done"))["response"]["status"] == "completed"
        (ended,) = server.until("worker ended", 1)
        assert (ended["worker"], ended["how"]) == (1, "SIGKILL")
        server.until("worker ready", 3)
        metrics = (await server.get("/metrics"))[1]
        assert "flowkit_workers 2.0" in metrics
        assert "flowkit_workers_ended_total 1.0" in metrics
        assert f"flowkit_sessions {len(found[2])}.0" in metrics

        # The new one takes sessions, and each worker the secret that one of them has made, unless it is too busy.
        found = await talkers(server)
        for _ in range(4):
            assert (await server.caller(authorization=f"Bearer {secret}")).status in (101, 503)
        server.process.send_signal(signal.SIGTERM)
        server.until("draining", 3)
        late = await server.caller()
        assert late.status == 503
        for client in (*found[1], *found[2]):
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            assert await client.until_closed() == 1001

    with two_workers(tmp_path) as server:
        trio.run(client)
        assert server.process.wait(timeout=30) == 0
    traces = sorted((tmp_path / "traces" / "live").glob("*.jsonl"))
    assert len(traces) >= 8
    for trace in traces:
        assert exactly(trace).same


def test_a_worker_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    with two_workers(tmp_path) as server:
        stopped = next(one for one in server.logged if one["event"] == "worker started" and one["worker"] == 2)
        os.kill(stopped["pid"], signal.SIGSTOP)
        (hangs,) = server.until("worker hangs", 1)
        assert (hangs["worker"], hangs["pid"]) == (2, stopped["pid"])
        (ended,) = server.until("worker ended", 1)
        assert (ended["worker"], ended["how"]) == (2, "SIGKILL")
        server.until("worker ready", 3)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0


def test_a_port_that_is_taken_and_more_workers_than_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.yaml").write_text(TALK)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "talk.yaml", "--port", str(port), "--workers", "200"]) == 2
    told = capsys.readouterr().err
    assert f"200 workers share {cores()} cores" in told
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in told


def test_a_number_of_workers_that_makes_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "talk.yaml").write_text(TALK)
    assert main(["serve", str(tmp_path / "talk.yaml"), "--workers", "0"]) == 2
    assert "serve.workers" in capsys.readouterr().err
