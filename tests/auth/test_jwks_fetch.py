"""Reading keys over real TLS, and everything that it must not do."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from oddswire.auth import jwks_fetch
from oddswire.auth.jwks import UnusableKeys
from oddswire.auth.jwks_fetch import MAX_BODY, JwksFetch, Resolve
from tests.auth.identity_provider import JwksServer, jwk_set, jwks_server, public

KEYS = jwk_set(public("ES256"))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[JwksServer]:
    async with jwks_server(tmp_path, public("ES256")) as running:
        yield running


def leads_to(*addresses: str) -> Resolve:
    """A resolver that gives these addresses for every name."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def fetch_of(server: JwksServer, *addresses: str, allow_private: bool = True) -> JwksFetch:
    return JwksFetch(allow_private=allow_private, resolve=leads_to(*(addresses or ("127.0.0.1",))), trust=server.trust)


async def fault(fetch: JwksFetch, url: str) -> str:
    with pytest.raises(UnusableKeys) as unusable:
        await fetch(url)
    return str(unusable.value)


async def test_keys_are_read_as_they_are(server: JwksServer) -> None:
    assert await fetch_of(server)(server.url) == KEYS
    (head,) = server.asked
    assert head.startswith("GET /keys?of=shop HTTP/1.1\r\n")
    lines = head.lower().splitlines()
    assert f"host: localhost:{server.port}" in lines
    assert "accept-encoding: identity" in lines
    assert not [line for line in lines if line.startswith(("cookie", "authorization"))]


async def test_this_machine_s_own_resolver(server: JwksServer) -> None:
    assert await JwksFetch(allow_private=True, trust=server.trust)(server.url) == KEYS
    assert "looked up" in await fault(JwksFetch(trust=server.trust), "https://nobody.invalid/keys")
    assert await jwks_fetch.resolve("127.0.0.1", 443) == ["127.0.0.1"]


async def test_this_machine_s_own_authorities(server: JwksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "certificate" in (await fault(JwksFetch(allow_private=True), server.url)).lower()
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    assert await JwksFetch(allow_private=True)(server.url) == KEYS


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_a_private_address_is_not_connected_to(server: JwksServer, address: str) -> None:
    assert address in await fault(fetch_of(server, address, allow_private=False), server.url)
    assert server.asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:7f00:1]"]
)
async def test_a_number_for_a_name_is_looked_at_as_what_it_is(server: JwksServer, host: str) -> None:
    await fault(JwksFetch(trust=server.trust), f"https://{host}:{server.port}/keys")
    assert server.asked == []


async def test_one_private_address_among_public_ones_spoils_the_name(server: JwksServer) -> None:
    for addresses in (("1.1.1.1", "127.0.0.1"), ("127.0.0.1", "1.1.1.1"), ("2606:4700::1", "::ffff:127.0.0.1")):
        assert "127.0.0.1" in await fault(fetch_of(server, *addresses, allow_private=False), server.url)
    assert server.asked == []


async def test_a_link_local_address_never(server: JwksServer) -> None:
    assert "169.254.169.254" in await fault(fetch_of(server, "169.254.169.254"), server.url)


async def test_the_address_that_was_checked_is_the_one_connected_to(server: JwksServer) -> None:
    """A name that leads elsewhere when it is asked again is asked only once."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ("127.0.0.1",) if len(asked) == 1 else ("127.0.0.2",)

    fetch = JwksFetch(allow_private=True, resolve=rebinding, trust=server.trust)
    assert await fetch(server.url) == KEYS
    assert asked == ["localhost"]


async def test_the_certificate_must_be_the_name_s(server: JwksServer) -> None:
    fetch = fetch_of(server)
    assert "certificate" in (await fault(fetch, f"https://id.example:{server.port}/keys")).lower()
    assert "certificate" in (await fault(fetch, f"https://127.0.0.1:{server.port}/keys")).lower()
    stranger = JwksFetch(allow_private=True, resolve=leads_to("127.0.0.1"), trust=ssl.create_default_context())
    assert "certificate" in (await fault(stranger, server.url)).lower()
    assert server.asked == []


async def test_an_address_as_the_name(tmp_path: Path) -> None:
    async with jwks_server(tmp_path, public("ES256"), names=("127.0.0.1",)) as server:
        fetch = JwksFetch(allow_private=True, trust=server.trust)
        assert await fetch(f"https://127.0.0.1:{server.port}/") == KEYS
        assert f"host: 127.0.0.1:{server.port}" in server.asked[0].lower()


async def test_the_next_address_where_one_does_not_answer(server: JwksServer) -> None:
    assert await fetch_of(server, "127.0.0.99", "127.0.0.1")(server.url) == KEYS


async def test_nobody_there(server: JwksServer) -> None:
    assert "connected" in await fault(fetch_of(server, "127.0.0.99"), server.url)
    assert "no address" in await fault(JwksFetch(resolve=leads_to(), trust=server.trust), server.url)


ANSWERS: dict[str, tuple[Callable[[JwksServer], None], str]] = {
    "a redirect": (lambda server: server.serve(b"", "302 Found", Location=server.url + "2"), "302"),
    "a redirect within": (lambda server: server.serve(KEYS, "308 Permanent Redirect", Location="/2"), "308"),
    "an error": (lambda server: server.serve(b"", "500 Internal Server Error"), "500"),
    "not there": (lambda server: server.serve(KEYS, "404 Not Found"), "404"),
    "another success": (lambda server: server.serve(b"", "204 No Content"), "204"),
    "too much": (lambda server: server.serve(b" " * (MAX_BODY + 1)), "64 KiB"),
    "too much, in chunks": (
        lambda server: setattr(
            server,
            "answer",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 5,
        ),
        "64 KiB",
    ),
    "without an end": (
        lambda server: setattr(server, "answer", b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 2 * MAX_BODY),
        "64 KiB",
    ),
    "compressed": (lambda server: server.serve(b"\x1f\x8b", Content_Encoding="gzip"), "compressed"),
    "no HTTP": (lambda server: setattr(server, "answer", b"SSH-2.0-x\r\n\r\n"), "failed"),
    "a head without end": (
        lambda server: setattr(server, "answer", b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000),
        "failed",
    ),
}


@pytest.mark.parametrize(("answers", "said"), ANSWERS.values(), ids=ANSWERS)
async def test_answers_that_are_not_taken(server: JwksServer, answers: Callable[[JwksServer], None], said: str) -> None:
    answers(server)
    assert said in await fault(fetch_of(server), server.url)
    assert len(server.asked) == 1


async def test_as_much_as_there_may_be(server: JwksServer) -> None:
    server.serve(b" " * MAX_BODY)
    assert len(await fetch_of(server)(server.url)) == MAX_BODY


async def test_who_is_too_slow_is_left(server: JwksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks_fetch, "FETCH_SECONDS", 0.2)
    server.pause = asyncio.Event()
    assert "0.2 seconds" in await fault(fetch_of(server), server.url)

    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    assert "0.2 seconds" in await fault(JwksFetch(resolve=never, trust=server.trust), server.url)
