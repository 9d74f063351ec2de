"""Which address a client has, where a reverse proxy is in front.

A proxy appends the address that it sees to `X-Forwarded-For`. What stands before that came from the client, who can write
anything. So only what a declared proxy has appended counts. `Forwarded` (RFC 7239) is not read: a proxy that sets one of the
two passes the other on as it came.
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#security_and_privacy_concerns
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

HEADER = "x-forwarded-for"
_Address = IPv4Address | IPv6Address
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+):\d+")


class Proxies:
    """The addresses and networks of the proxies that are in front, such as `127.0.0.1` or `10.0.0.0/8`."""

    def __init__(self, known: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in known]

    def client(self, peer: str, forwarded: str) -> str:
        """The client's address, for a connection from `peer` with this `X-Forwarded-For`."""
        nearest = _address(peer)
        if nearest is None:
            return peer
        for entry in reversed(forwarded.split(",")):
            # Nobody who can be believed has said what stands further left.
            if not self._trusted(nearest) or (before := _address(entry)) is None:
                break
            nearest = before
        return str(nearest)

    def _trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> _Address | None:
    """An address as proxies write it, with a port or not; None if it is none."""
    text = text.strip()
    if (found := _WITH_PORT.fullmatch(text)) is not None:
        text = found[1] or found[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # As a socket that takes both kinds names one of the older kind.
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
