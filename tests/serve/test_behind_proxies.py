"""nginx and Caddy with the blocks of the page on deployments, in front of `flowkit serve`: whole conversations through them.

Of a block only ports and paths of certificates are changed. Caddy signs with an authority of its own, since there is none to ask.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from flowkit.config import load
from flowkit.serve import socket as serving
from flowkit.serve.listening import Endpoint
from flowkit.serve.server import serve
from tests.serve.browser import ELSEWHERE, browser
from tests.serve.programs import of_debian, self_signed, server
from tests.serve.support import TALK, silence, tone
from tests.serve.test_deploying import block, program
from tests.serve.wire import TOKEN, Caller

NAME = "voice.example.com"
SHORT = TALK.replace(", it is a town on a river, with bridges and with towers.", ".")
SERVED = SHORT + block("yaml").rstrip() + f"\n  tokens: [{TOKEN}]\n  limits: {{per_peer: 1, lag: 10s}}\n"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs. `trusted`: the certificate by which a client knows it."""

    port: int
    trusted: Path
    reload: Callable[[], None]

    @property
    def host(self) -> str:
        return f"{NAME}:{self.port}"

    @asynccontextmanager
    async def connection(self, address: str) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
        """A connection of a client that has this address, one of the loopback's."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port, local_address=address)
        context = ssl.create_default_context(cafile=str(self.trusted))
        async with trio.SSLStream(stream, context, server_hostname=NAME, https_compatible=True) as secured:
            yield secured

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        async with self.connection("127.0.0.1") as stream:
            headers = f"host: {self.host}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close"
            await stream.send_all(f"GET {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
            data = b"".join([piece async for piece in stream])
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def changed(text: str, **places: str) -> str:
    """The text with other values for what is there; nothing else is changed."""
    for old, new in places.items():
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def running(command: list[str | Path], *begun: str) -> Iterator[subprocess.Popen[str]]:
    """A program, once it has said all of `begun` on standard error."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while not all(words in said for words in begun):
                line = process.stderr.readline()
                assert line, said
                said += line
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=30)


@contextmanager
def nginx(folder: Path, upstream: str, timeout: str = "1h") -> Iterator[Proxy]:
    tool, port, certificate = of_debian("nginx", "nginx"), free_port(), self_signed(folder, f"DNS:{NAME}")
    site = changed(
        block("nginx"),
        **{
            "127.0.0.1:8080": upstream,
            "listen 443": f"listen 127.0.0.1:{port}",
            "/etc/ssl/voice.example.com/fullchain.pem": str(certificate),
            "/etc/ssl/voice.example.com/privkey.pem": str(folder / "key.pem"),
            " 1h;": f" {timeout};",
        },
    )
    user = "user root;" if os.getuid() == 0 else ""
    folders = " ".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = folder / "nginx.conf"
    conf.write_text(
        f"{user} daemon off; pid {folder}/nginx.pid; error_log stderr notice; events {{}}\n"
        f"http {{ access_log off; {folders}\n{site} }}"
    )
    command: list[str | Path] = [tool, "-p", folder, "-c", conf]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    with running(command, "start worker process") as process:
        yield Proxy(port, certificate, partial(process.send_signal, signal.SIGHUP))


@contextmanager
def caddy(folder: Path, upstream: str) -> Iterator[Proxy]:
    tool, port = program("caddy"), free_port()
    conf, admin = folder / "Caddyfile", f"unix/{folder}/admin"
    options = (
        f"admin {admin}", f"storage file_system {folder}", "local_certs", "skip_install_trust", "default_bind 127.0.0.1",
        f"https_port {port}", "auto_https disable_redirects",
    )  # fmt: skip
    conf.write_text("\n".join(("{", *options, "}", changed(block("caddy"), **{"127.0.0.1:8080": upstream}))))

    def reload() -> None:
        command = [tool, "reload", "--force", "--config", conf, "--address", admin]
        subprocess.run(command, check=True, capture_output=True)

    command = [tool, "run", "--config", conf]
    with running(command, "certificate obtained"):
        pass  # It says so before it serves with the certificate. The next start finds it stored.
    with running(command, "serving initial configuration"):
        yield Proxy(port, folder / "pki" / "authorities" / "local" / "root.crt", reload)


@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_a_conversation_through_the_documented_proxy(proxy: Callable[..., Any], tmp_path: Path) -> None:
    async def main(it: Proxy) -> None:
        status, page = await it.get("/")
        assert (status, "<title>" in page) == (200, True)
        (script,) = re.findall(r'<script[^>]* src="([^"]+)"', page)
        assert (await it.get(f"/{script.lstrip('/')}"))[0] == 200
        assert (await it.get("/metrics"))[0] == 403
        async with it.connection("127.0.0.2") as stream:
            client = Caller(stream, host=it.host, headers=BEARER)
            assert await client.open(), client.status
            await client.say(tone(800_000) + silence(400_000))
            said = await client.until("conversation.item.input_audio_transcription.completed")
            assert said["transcript"] == "How are you?"
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            assert "response.output_audio.delta" in client.types()
            # Each client is counted by its own address, whatever it claims to be.
            claimed = {"x-forwarded-for": "127.0.0.9"}
            for address, more, status in (
                ("127.0.0.2", {}, 429),
                ("127.0.0.2", claimed, 429),
                ("127.0.0.3", claimed, 101),
                ("127.0.0.4", {"origin": f"https://{it.host}"}, 101),
                ("127.0.0.4", {"origin": "https://example.org"}, 403),
            ):
                async with it.connection(address) as another:
                    second = Caller(another, host=it.host, headers=BEARER | more)
                    await second.open()
                    assert second.status == status, (address, more)
            # A new certificate or a new site must not end conversations.
            await trio.to_thread.run_sync(it.reload)
            assert (await it.get("/healthz"))[0] == 200
            await client.write("And now?")
            assert (await client.until("response.done"))["response"]["status"] == "completed"

    with server(tmp_path, SERVED) as url, proxy(tmp_path, urlsplit(url).netloc) as it:
        trio.run(main, it)


def test_the_page_through_the_documented_proxy(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(silence(300_000) + tone(800_000) + silence(3_000_000))
    with (
        server(tmp_path, SERVED) as url,
        nginx(tmp_path, urlsplit(url).netloc) as it,
        browser(tmp_path, tmp_path / "voice.wav", "--ignore-certificate-errors") as page,
    ):
        page.open(f"https://{ELSEWHERE}:{it.port}/")
        # By its own name, and with https: so the browser gives the microphone, and the server takes the page for its own.
        page.run(f"document.getElementById('token').value = {TOKEN!r}")
        page.click("start")
        page.until("document.getElementById('conversation').innerText.includes('How are you?')")
        page.until("output.loudest > 0.01")
        assert page.errors == []


def test_a_quiet_conversation_outlives_the_timeout_of_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small: a timeout of 4 s instead of an hour, and a ping every second instead of every 20."""

    async def main() -> None:
        config = load("talk.yaml", text=SERVED, overrides=["serve.trace.sample=0"])
        listens = trio.Event()
        urls: list[str] = []
        logged: list[str] = []

        def ready(url: str) -> None:
            urls.append(url)
            listens.set()

        async with trio.open_nursery() as nursery:
            quiet: dict[str, Any] = {
                "log": lambda event, **of: logged.append(f"{event}: {of}"),
                "notice": lambda line: None,
            }
            nursery.start_soon(partial(serve, config, Endpoint(), ready=ready, **quiet))
            await listens.wait()
            with nginx(tmp_path, urlsplit(urls[0]).netloc, "4s") as it:
                monkeypatch.setattr(serving, "_PING_S", 1.0)
                async with it.connection("127.0.0.2") as stream:
                    client = Caller(stream, host=it.host, headers=BEARER)
                    assert await client.open()
                    began_s = trio.current_time()
                    while trio.current_time() < began_s + 6:
                        assert await client.read(), logged
                    monkeypatch.setattr(serving, "_PING_S", 1_000.0)
                    # Whoever speaks is not pinged, and need not be.
                    await client.say(silence(5_000_000))
                    await client.write("Are you there?")
                    await client.until("response.done")
                    # And without the one and the other, the proxy does cut it.
                    assert await client.until_closed() is None
            nursery.cancel_scope.cancel()

    trio.run(main)
