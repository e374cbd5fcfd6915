"""Which web pages may use an app: origins, compared part by part and never by substring."""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from oddswire.errors import InvalidInput

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<star>\*\.)?"
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)"
    r"(?::(?P<port>0|[1-9][0-9]{0,4}))?",
    re.IGNORECASE,
)


class Origin(NamedTuple):
    """The parts that are compared; `port` is the scheme's own where none was written, or None.

    `wild` stands for exactly one label in front of `host`, never for none and never for two.
    """

    scheme: str
    wild: bool
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port in (None, _DEFAULT_PORTS.get(self.scheme)) else f":{self.port}"
        return f"{self.scheme}://{'*.' if self.wild else ''}{self.host}{port}"


def parse_origin(text: str) -> Origin:
    """Return the parts of `scheme://host[:port]`, as a browser would send them: lower case, addresses shortened.

    Raises:
        InvalidInput: `invalid_parameter`: it is anything else, or its `*.` would stand for a whole top-level domain.
    """
    match = _ORIGIN.fullmatch(text) if text.isascii() and len(text) <= 300 else None
    if match is None:
        raise _wrong(text, "an origin is written scheme://host[:port], with nothing after it")
    scheme, wild, host = match["scheme"].lower(), match["star"] is not None, match["host"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS.get(scheme)
    if port is not None and not 0 < port < 65536:
        raise _wrong(text, "ports go from 1 to 65535")
    return Origin(scheme, wild, _host(text, host, wild), port)


def _host(text: str, host: str, wild: bool) -> str:
    labels = host.split(".")
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except AddressValueError:
            raise _wrong(text, "that is not an IPv6 address") from None
    elif "" in labels or any(len(label) > 63 for label in labels):
        raise _wrong(text, "a label of the host is empty or longer than 63 characters")
    elif labels[-1].isdigit():
        try:
            host = str(IPv4Address(host))
        except AddressValueError:
            raise _wrong(text, "that is not an IPv4 address") from None
    elif wild and len(labels) < 2 and host != "localhost":
        raise _wrong(text, "`*.` needs a domain of at least two labels after it")
    if wild and (host.startswith("[") or labels[-1].isdigit()):
        raise _wrong(text, "`*.` does not go with an address")
    return host


def _wrong(text: str, why: str) -> InvalidInput:
    return InvalidInput("invalid_parameter", f"{text[:100]!r} is not an origin: {why}.", path="origins")


def origin_allowed(allowed: Iterable[str], origin: str) -> bool:
    """Tell whether a request's `Origin` is one of an app's; `null` and everything unreadable never is."""
    try:
        asked = parse_origin(origin)
    except InvalidInput:
        return False
    return not asked.wild and any(_covers(parse_origin(text), asked) for text in allowed)


def _covers(rule: Origin, asked: Origin) -> bool:
    if (rule.scheme, rule.port) != (asked.scheme, asked.port):
        return False
    if not rule.wild:
        return rule.host == asked.host
    label, _, rest = asked.host.partition(".")
    return bool(label) and rest == rule.host
