"""Cartesia's provider beyond the contract: keys, certificates, and the result of a probe."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio

from flowkit.errors import ProviderError
from flowkit.messages import Ask, Narrate, Speak
from flowkit.providers.cartesia.tts import Cartesia
from flowkit.providers.models import opened
from flowkit.testing.emulators import CartesiaEmulator, running
from tests.contract.support import Outcome, around, one_call

pytest.importorskip("websockets")
CERTIFICATE = Path(__file__).parents[1] / "contract" / "self-signed.pem"


def options(**more: object) -> Cartesia.Options:
    return Cartesia.Options(**({"api_key": "any-key", "voice": "v"} | more))  # type: ignore[arg-type]


def test_a_certificate_that_nobody_vouches_for_is_an_error_of_its_own() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with running(CartesiaEmulator(tls=context)) as emulator:
        made = options(base_url=emulator.ws_url)
        outcome = one_call(Cartesia, made, Narrate(), [Speak(0, "One.")])
    assert outcome.end == "certificate"


@pytest.mark.parametrize("key", ["", " ", "key\n", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARTESIA_API_KEY", raising=False)
    made = options(api_key=key)
    assert one_call(Cartesia, made, Narrate()).end == "auth"


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "from-outside")
    with running(CartesiaEmulator()) as emulator:
        made = Cartesia.Options(voice="v", base_url=emulator.ws_url)
        one_call(Cartesia, made, Narrate(), [Speak(0, "One.")])
        assert emulator.seen[-1].headers["authorization"] == "Bearer from-outside"


def test_it_speaks_and_does_nothing_else() -> None:
    made = options(base_url="ws://127.0.0.1:9")
    outcome = one_call(Cartesia, made, Ask(1, "hi"))
    assert (outcome.end, outcome.items) == ("error", [])


def test_an_address_without_a_server_is_an_error_that_says_so() -> None:
    made = options(base_url="ws://127.0.0.1:9")
    outcome = one_call(Cartesia, made, Narrate(), [Speak(0, "One.")])
    assert outcome.end == "network"
    assert "refused" in outcome.error


def test_probe_says_which_keys_work() -> None:
    with running(CartesiaEmulator()) as emulator:

        async def probe(key: str) -> str:
            async with opened(Cartesia, options(api_key=key, base_url=emulator.ws_url), around(Outcome())) as provider:
                try:
                    return await provider.probe()
                except ProviderError as error:
                    return f"failed: {error}"

        assert trio.run(probe, "working-key") == "the key works, voice v"
        assert "401" in trio.run(probe, "wrong")
