"""Where a provider's keys may be read: `https` URLs, and which addresses their names may lead to (pure).

The address lists are those of the IANA special-purpose registries, written out: what Python's `ipaddress` calls global
differs between its versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from oddswire.errors import InvalidInput

MAX_URL: Final = 2048
_HTTPS: Final = 443
_NEVER_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32"),
    )
)
_PRIVATE_V4: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
_PRIVATE_V6: Final = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_METADATA_V6: Final = IPv6Address("fd00:ec2::254")
"""A cloud's metadata service inside a private network; 100.100.100.200 is another's."""
_GLOBAL_V6: Final = IPv6Network("2000::/3")
# protocol assignments with Teredo, documentation, 6to4
_NEVER_V6: Final = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Target(NamedTuple):
    """Where a URL leads: `host` as it stands in the certificate, `path` with its query."""

    host: str
    port: int
    path: str


def parse_url(text: str) -> Target:
    """Return where a JWKS URL leads.

    Raises:
        InvalidInput: `invalid_parameter`: no plain `https` URL, or one with credentials or a fragment.
    """
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or set(text) & set(' \\<>"{}|^`'):
        raise _wrong(f"one word of at most {MAX_URL} plain ASCII characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong("a host and a port that can be read") from None
    if parts.scheme != "https":
        raise _wrong("`https`")
    if "@" in parts.netloc:
        raise _wrong("no user and no password in it")
    if parts.fragment or not host or port == 0 or "%" in host:
        raise _wrong("a host, and nothing after a `#`")
    query = f"?{parts.query}" if parts.query else ""
    return Target(host, _HTTPS if port is None else port, (parts.path or "/") + query)


def may_connect(address: str, *, allow_private: bool) -> bool:
    """Tell whether keys may be read from an IP address.

    Public ones may; those of private networks and of this machine only if `allow_private`; link-local, multicast,
    reserved and documentation ones, and what tunnels to another address, never.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return False
        inner = found.ipv4_mapped or (IPv4Address(int(found) & 0xFFFF_FFFF) if found in _NAT64 else None)
        if inner is None:
            return _may_v6(found, allow_private)
        found = inner
    if any(found in network for network in _NEVER_V4):
        return False
    return allow_private or not any(found in network for network in _PRIVATE_V4)


def _may_v6(found: IPv6Address, allow_private: bool) -> bool:
    if any(found in network for network in _PRIVATE_V6):
        return allow_private and found != _METADATA_V6
    return found in _GLOBAL_V6 and not any(found in network for network in _NEVER_V6)


def _wrong(wanted: str) -> InvalidInput:
    return InvalidInput("invalid_parameter", f"A JWKS URL wants {wanted}.", path="jwks-url")
