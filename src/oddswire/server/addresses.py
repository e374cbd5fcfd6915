"""Whose call it is: the address of the peer, or the one that a trusted proxy names in `X-Forwarded-For`."""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from oddswire.errors import OperatorError

FORWARDED_FOR: Final = b"x-forwarded-for"
MOST_HOPS: Final = 16
"""How many addresses of a header are read, from the right: nobody has as many proxies of their own."""
_VARIABLE: Final = "ODDSWIRE_TRUSTED_PROXIES"
Network = IPv4Network | IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the addresses and networks of a list with commas; of nothing none.

    Raises:
        OperatorError: `config_invalid`; says which entry, and never what it was.
    """
    entries = text.split(",") if text.strip() else []
    return tuple(_network(entry.strip(), number) for number, entry in enumerate(entries, 1))


class Proxies:
    """The proxies whose word is taken for where a call comes from."""

    def __init__(self, trusted: Iterable[Network]) -> None:
        self._trusted = tuple(trusted)

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the client's address: `peer`, or of a trusted peer the right-most hop that is not trusted itself.

        Whatever stands left of that hop is the client's own word and is not looked at. At an entry that is no address
        the last trusted hop is returned. `headers` have lower-case names; several of one name count in their order.
        """
        if not self._trusted or not self._trusts(_read(peer)):
            return peer
        found = peer
        lines = [value for name, value in headers if name == FORWARDED_FOR]
        if lines:
            hops = b",".join(lines).decode("latin-1").rsplit(",", MOST_HOPS)[-MOST_HOPS:]
            for hop in reversed(hops):
                address = _read(_without_port(hop.strip(" \t")))
                if address is None:
                    break
                found = str(address)
                if not self._trusts(address):
                    break
        return found

    def _trusts(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _network(entry: str, number: int) -> Network:
    try:
        found = ipaddress.ip_network(entry)
    except ValueError:
        detail = f"Entry {number} of {_VARIABLE} is no address and no network such as 10.0.0.0/8 or fd00::/8."
        raise OperatorError("config_invalid", detail, path=_VARIABLE) from None
    if not found.prefixlen:
        detail = f"Entry {number} of {_VARIABLE} is everybody: name the proxies, or anybody may say who they are."
        raise OperatorError("config_invalid", detail, path=_VARIABLE)
    return found


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address; an IPv4 one written as IPv6 is what it stands for."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id is not None else found.ipv4_mapped or found
    return found


def _without_port(hop: str) -> str:
    """Return the host of `192.0.2.7:4711`, `[2001:db8::7]:4711` or `[2001:db8::7]`; anything else as it is."""
    if hop.startswith("["):
        host, bracket, port = hop[1:].partition("]")
        return host if bracket and (not port or _is_port(port)) else hop
    host, colon, port = hop.rpartition(":")
    return host if colon and ":" not in host and _is_port(f":{port}") else hop


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
