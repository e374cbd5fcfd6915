"""Reading a provider's keys over the network: from checked addresses alone, and never much or for long."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import httpx

from oddswire.auth.addresses import Target, may_connect, parse_url
from oddswire.auth.jwks import UnusableKeys

MAX_BODY: Final = 64 * 1024
FETCH_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 2.0
_MOST_ADDRESSES: Final = 4

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Return the IP addresses of a host and port, the best first; `OSError` where it has none."""


async def resolve(host: str, port: int) -> list[str]:
    """Return what this machine's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class JwksFetch:
    """Fetches a JWK Set. The name is looked up here and the address that was checked is the one connected to.

    So a name that leads somewhere else a moment later is of no use to anybody. The certificate must be the name's, by
    what `trust` trusts: without one, this machine's own authorities (`SSL_CERT_FILE` adds to them).
    """

    def __init__(
        self, *, allow_private: bool = False, resolve: Resolve = resolve, trust: ssl.SSLContext | None = None
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._trust = trust

    async def __call__(self, url: str) -> bytes:
        """Return the body at `url`, at most 64 KiB, within 5 seconds.

        Raises:
            UnusableKeys: no answer, a redirect, too much, too slow, or an address that is not for us.
        """
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._fetch(parse_url(url))
        except TimeoutError:
            raise UnusableKeys(f"there was no whole answer within {FETCH_SECONDS:g} seconds") from None

    async def _fetch(self, target: Target) -> bytes:
        if self._trust is None:
            # reading the machine's authorities takes a while, and most gateways have no provider
            self._trust = await asyncio.to_thread(ssl.create_default_context)
        addresses = await self._addresses(target)
        timeout = httpx.Timeout(FETCH_SECONDS, connect=CONNECT_SECONDS)
        fault = "no address"
        async with httpx.AsyncClient(
            verify=self._trust, trust_env=False, follow_redirects=False, timeout=timeout
        ) as http:
            for address in addresses:
                try:
                    return await _get(http, target, address)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    fault = str(error) or type(error).__name__
                except httpx.HTTPError as error:
                    raise UnusableKeys(f"the connection failed: {error or type(error).__name__}") from None
        raise UnusableKeys(f"it cannot be connected to: {fault}")

    async def _addresses(self, target: Target) -> list[str]:
        try:
            found = list(await self._resolve(target.host, target.port))
        except (OSError, UnicodeError) as error:
            raise UnusableKeys(f"its name cannot be looked up: {error}") from None
        # one bad address spoils the name: whoever answers for it could lead us there the next time
        for address in found:
            if not may_connect(address, allow_private=self._allow_private):
                private = may_connect(address, allow_private=True)
                why = (
                    "a private address, which ODDSWIRE_PROVIDER_ALLOW_PRIVATE would allow"
                    if private
                    else "no public one"
                )
                raise UnusableKeys(f"its name leads to {address}, {why}")
        return found[:_MOST_ADDRESSES]


async def _get(http: httpx.AsyncClient, target: Target, address: str) -> bytes:
    literal = f"[{address}]" if ":" in address else address
    named = f"[{target.host}]" if ":" in target.host else target.host
    request = http.build_request(
        "GET",
        f"https://{literal}:{target.port}{target.path}",
        headers={
            "host": named if target.port == 443 else f"{named}:{target.port}",
            "accept": "application/jwk-set+json, application/json",
            "accept-encoding": "identity",
            "user-agent": "oddswire",
        },
        extensions={"sni_hostname": target.host},
    )
    response = await http.send(request, stream=True)
    try:
        if response.status_code != httpx.codes.OK:
            raise UnusableKeys(f"it answers with status {response.status_code}, not 200; redirects are not followed")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise UnusableKeys("its answer is compressed, which was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY:
                raise UnusableKeys(f"its answer is longer than {MAX_BODY // 1024} KiB")
        return bytes(body)
    finally:
        await response.aclose()
