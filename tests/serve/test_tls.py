"""The server speaks TLS itself: a conversation over wss, and a client that speaks plain HTTP to it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio

from flowkit.config import load
from flowkit.errors import UsageError
from flowkit.serve.listening import Endpoint
from flowkit.serve.server import serve
from tests.serve.programs import self_signed
from tests.serve.support import TALK
from tests.serve.wire import Caller

SHORT = TALK.replace(", it is a town on a river, with bridges and with towers.", ".")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path, "IP:127.0.0.1")


def test_a_conversation_over_tls(certificate: Path) -> None:
    urls: list[str] = []

    async def talk(port: int) -> None:
        with trio.fail_after(30):
            # Half a handshake gets its time, and no more.
            async with await trio.open_tcp_stream("127.0.0.1", port) as half:
                await half.send_all(b"\x16\x03\x01\x02")
                assert await half.receive_some() == b""
            plain = await trio.open_tcp_stream("127.0.0.1", port)
            async with plain:
                await plain.send_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                assert await plain.receive_some() == b""
            context = ssl.create_default_context(cafile=str(certificate))
            async with await trio.open_ssl_over_tcp_stream(
                "127.0.0.1", port, ssl_context=context, https_compatible=True
            ) as secured:
                client = Caller(secured)
                assert await client.open()
                await client.until("session.created")
                await client.write("Hello?")
                assert (await client.until("response.done"))["response"]["status"] == "completed"
                assert client.got

    async def main() -> None:
        config = load("talk.yaml", text=SHORT, overrides=["serve.trace.sample=0", "serve.limits.handshake=1s"])
        listens = trio.Event()

        def ready(url: str) -> None:
            urls.append(url)
            listens.set()

        async def server() -> None:
            endpoint = Endpoint(certfile=str(certificate), keyfile=str(certificate.with_name("key.pem")))
            await serve(config, endpoint, log=lambda *_, **__: None, notice=lambda line: None, ready=ready)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(server)
            await listens.wait()
            assert urls[0].startswith("https://127.0.0.1:")
            await talk(int(urls[0].rpartition(":")[2]))
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    for endpoint in (
        Endpoint(certfile=str(tmp_path / "no.pem")),
        Endpoint(certfile=str(tmp_path / "missing.pem")),
        Endpoint(keyfile=str(tmp_path / "no.pem")),
    ):
        with pytest.raises(UsageError, match="certificate"):
            endpoint.tls()
