"""Whose sessions count as one client's, behind reverse proxies, and that nobody can pass for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.serve.proxies import Proxies
from tests.config.helpers import BASE, lines
from tests.serve.wire import Caller, caller, in_time, site

NEAR, FAR = "127.0.0.1", "10.1.2.3"
PROXIES = Proxies([NEAR, "10.0.0.0/8"])
addresses = st.ip_addresses().map(str).filter(lambda text: not text.startswith(("10.", "127.")))
anything = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=60)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", "", "192.0.2.9"),
        ("192.0.2.9", "192.0.2.1", "192.0.2.9"),  # not from a proxy
        (NEAR, "", NEAR),
        (NEAR, "192.0.2.1", "192.0.2.1"),
        (NEAR, "192.0.2.1, 192.0.2.2", "192.0.2.2"),  # the client wrote the first
        (NEAR, f"192.0.2.1, {FAR}", "192.0.2.1"),  # a proxy in front of the proxy
        (NEAR, f"{FAR},{FAR}", FAR),
        (NEAR, "192.0.2.1, unknown", NEAR),
        (NEAR, "192.0.2.1:50123", "192.0.2.1"),
        (NEAR, "[2001:db8::1]:443", "2001:db8::1"),
        (NEAR, "2001:DB8::0:1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_what_a_proxy_has_appended_counts(peer: str, forwarded: str, client: str) -> None:
    assert PROXIES.client(peer, forwarded) == client


@given(anything, addresses)
def test_what_the_client_has_written_changes_nothing(written: str, real: str) -> None:
    assert PROXIES.client(NEAR, f"{written}, {real}") == PROXIES.client(NEAR, real)
    assert PROXIES.client(real, written) == PROXIES.client(real, "")
    assert Proxies([]).client(NEAR, written) == NEAR


def test_the_limit_counts_clients_behind_the_proxy_and_a_spoofed_header_helps_nobody() -> None:
    async def main() -> None:
        async with site("serve.proxies=[127.0.0.1]", "serve.limits.per_peer=1") as it:

            async def status(peer: str, forwarded: str) -> int:
                client = Caller(it.connect(peer), headers={"x-forwarded-for": forwarded, "forwarded": "for=192.0.2.77"})
                await client.open()
                return client.status

            assert await status(NEAR, "192.0.2.1") == 101
            assert await status(NEAR, "192.0.2.2") == 101
            assert await status(NEAR, "192.0.2.50, 192.0.2.1") == 429
            await caller(it, peer="192.0.2.3")
            assert await status("192.0.2.3", "192.0.2.4") == 429

    in_time(main)


def test_what_is_no_network_is_said() -> None:
    (line,) = lines(BASE + "serve: {proxies: [10.0.0.1/8]}\n")
    assert "must be an address or a network" in line
