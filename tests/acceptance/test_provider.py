"""An app's own identity provider: its users' tokens on REST, sockets and SSE, from the command that names it on."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from oddswire.cli.root import run
from oddswire.testing.gateway import UNLIMITED, RunningGateway, running_gateway
from tests.auth.identity_provider import (
    AUDIENCE,
    ISSUER,
    SECRET,
    JwksServer,
    jwk_set,
    jwks_server,
    public,
    token,
    until,
)
from tests.server.gateways import an_order, code_of

SETTINGS = msgspec.structs.replace(UNLIMITED, provider_allow_private=True)
DEADLINE = 10


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JwksServer]:
    async with jwks_server(tmp_path, public("Ed25519"), public("RS256")) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
        yield running


@pytest.fixture
async def gateway(tmp_path: Path, provider: JwksServer) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path, SETTINGS) as running:
        yield running


@pytest.fixture
async def named(gateway: RunningGateway, provider: JwksServer) -> RunningGateway:
    """The gateway, with the provider named by the command while it runs, and its keys read."""
    await command(gateway, "set", *ACCEPTED, "--jwks-url", provider.url)
    await until(lambda: provider.asked)
    return gateway


ACCEPTED = ("--issuer", ISSUER, "--audience", AUDIENCE)


async def command(gateway: RunningGateway, word: str, *words: str) -> None:
    whole = ("app", "provider", word, gateway.app_id, *words, "--database", str(gateway.database))
    assert await asyncio.to_thread(run, whole) == 0


async def said(socket: ClientConnection, kind: str) -> Any:
    """Return the next frame of a kind."""
    async with asyncio.timeout(DEADLINE):
        while (frame := json.loads(await socket.recv()))["type"] != kind:
            pass
    return frame


async def closing(socket: ClientConnection) -> tuple[int | None, str]:
    async with asyncio.timeout(DEADLINE):
        await socket.wait_closed()
    reason = json.loads(socket.close_reason or "{}")
    return socket.close_code, reason.get("code", "")


async def refusal(gateway: RunningGateway, text: str) -> tuple[int, str]:
    async with gateway.http(text) as http:
        return code_of(await http.get("/trading/balance"))


async def test_a_provider_s_user_trades_and_hears_of_it_everywhere(named: RunningGateway) -> None:
    text = token(now(), sid="1")
    async with named.http(text) as http, websockets.connect(named.ws_url(token=text)) as socket:
        first = await said(socket, "connected")
        assert (first["userId"], first["seq"], first["head"]) == ("ann", 1, 1)
        (balance,) = (await http.get("/trading/balance")).json()["balances"]
        assert balance["tradingBalanceCents"] == 100_000
        async with http.stream("GET", "/trading/events/stream", params={"since": 1, "epoch": first["epoch"]}) as events:
            assert events.status_code == 200
            placed = await http.post("/trading/orders", json=an_order())
            assert placed.status_code == 201
            assert (await said(socket, "order_submitted"))["orderId"] == placed.json()["orderId"]
            lines = events.aiter_lines()
            async with asyncio.timeout(DEADLINE):
                while "order_submitted" not in await anext(lines):
                    pass

            newer = token(now(), "RS256", sid="1", exp=now() // 1000 + 7200)
            await socket.send(json.dumps({"action": "authenticate", "token": newer}))
            assert (await said(socket, "authenticated"))["userId"] == "ann"
            bad = token(now(), aud="other")
            await socket.send(json.dumps({"action": "authenticate", "token": bad}))
            assert (await said(socket, "error"))["code"] == "token_invalid"

            assert (await http.post("/auth/sign-out")).status_code == 204
            assert await closing(socket) == (4001, "session_revoked")
            async with asyncio.timeout(DEADLINE):
                assert "event: session_revoked" in [line async for line in lines]
    for each in (text, newer):
        assert await refusal(named, each) == (401, "session_revoked")
        async with websockets.connect(named.ws_url(token=each)) as again:
            assert await closing(again) == (4001, "session_revoked")
    async with named.http(token(now(), sid="2")) as http:
        assert (await http.get("/trading/orders")).json()["data"][0]["orderId"] == placed.json()["orderId"]


async def test_ours_and_the_provider_s_are_the_same_user(named: RunningGateway) -> None:
    ours = (await named.sign_in("ann")).access_token
    async with websockets.connect(named.ws_url(), additional_headers={"Authorization": f"Bearer {ours}"}) as socket:
        epoch = (await said(socket, "connected"))["epoch"]
        await socket.send(json.dumps({"action": "authenticate", "token": token(now())}))
        assert (await said(socket, "authenticated"))["epoch"] == epoch
        async with named.http(ours) as http:
            assert (await http.post("/auth/sign-out")).status_code == 204
        async with named.http(token(now())) as http:
            assert (await http.post("/trading/orders", json=an_order())).status_code == 201
        assert (await said(socket, "order_submitted"))["type"] == "order_submitted"


async def test_a_removed_provider_is_refused_and_its_sockets_close_within_a_second(
    named: RunningGateway, provider: JwksServer
) -> None:
    text, ours = token(now()), (await named.sign_in("bob")).access_token
    async with (
        websockets.connect(named.ws_url(token=text)) as socket,
        websockets.connect(named.ws_url(token=ours)) as stays,
        named.http(text) as http,
        http.stream("GET", "/trading/events/stream") as events,
    ):
        await said(socket, "connected")
        await said(stays, "connected")
        await command(named, "remove")
        since = time.monotonic()
        assert await closing(socket) == (4101, "token_invalid")
        assert time.monotonic() - since < 2
        async with asyncio.timeout(DEADLINE):
            assert "event: token_invalid" in [line async for line in events.aiter_lines()]
        await (await stays.ping())
    assert await refusal(named, text) == (401, "token_invalid")
    async with websockets.connect(named.ws_url(token=text)) as again:
        assert await closing(again) == (4101, "token_invalid")

    await command(named, "set", *ACCEPTED, "--claim", "email", "--jwks-url", provider.url)
    other = token(now(), email="ann@shop.example")
    async with asyncio.timeout(DEADLINE), named.http(other) as http:
        while (await http.get("/trading/balance")).status_code != 200:
            await asyncio.sleep(0.02)
    assert await refusal(named, text) == (401, "token_invalid")


async def test_while_the_keys_cannot_be_read_nobody_is_told_that_a_token_is_bad(
    gateway: RunningGateway, provider: JwksServer
) -> None:
    provider.serve(b"", "503 Service Unavailable")
    await command(gateway, "set", *ACCEPTED, "--jwks-url", provider.url)
    await until(lambda: provider.asked)
    text = token(now())
    async with gateway.http(text) as http:
        answer = await http.get("/trading/balance")
    assert code_of(answer) == (503, "provider_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    async with websockets.connect(gateway.ws_url(token=text)) as socket:
        assert (await closing(socket))[0] == 4200
    ours = (await gateway.sign_in("ann")).access_token
    async with websockets.connect(gateway.ws_url(token=ours)) as socket:
        await said(socket, "connected")
        await socket.send(json.dumps({"action": "authenticate", "token": text}))
        assert (await said(socket, "error"))["code"] == "provider_unavailable"
        await socket.send(json.dumps({"action": "ping"}))
        await said(socket, "pong")


async def test_a_key_that_is_new_at_the_provider(named: RunningGateway, provider: JwksServer) -> None:
    """Its first token waits while the provider is asked; in the first ten seconds after it was asked it is refused."""
    async with named.http(token(now())) as http:
        assert (await http.get("/trading/balance")).status_code == 200
    provider.serve(jwk_set(public("ES256")))
    assert await refusal(named, token(now(), "ES256")) == (401, "token_invalid")
    asked = len(provider.asked)
    await command(named, "set", *ACCEPTED, "--jwks-url", provider.url)
    await until(lambda: len(provider.asked) > asked)
    async with named.http(token(now(), "ES256")) as http:
        assert (await http.get("/trading/balance")).status_code == 200


async def test_what_the_operator_sees(named: RunningGateway) -> None:
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        websockets.connect(named.ws_url(token=token(now()))) as socket,
    ):
        await said(socket, "connected")
        told = (await http.get(f"{named.admin_url}/metrics")).text
        (present,) = (await http.get(f"{named.admin_url}/connections")).json()["data"]
        assert (present["user"], present["session"][:4]) == ("ann", "sub_")
        kicked = await http.post(f"{named.admin_url}/kick", json={"app": named.app_id, "user": "ann"})
        assert kicked.json()["connections"] == 1
        assert await closing(socket) == (4001, "session_revoked")
    assert 'oddswire_provider_keys_failures_total{app="demo"} 0.0' in told
    assert 'oddswire_provider_keys_age_seconds{app="demo"}' in told


async def test_cancel_on_disconnect_by_a_provider_s_session(named: RunningGateway) -> None:
    async with named.http(token(now())) as http:
        async with websockets.connect(named.ws_url(token=token(now()), cancelOnDisconnect=1)) as socket:
            assert (await said(socket, "connected"))["cancelOnDisconnect"] == 1
            order_id = (await http.post("/trading/orders", json=an_order())).json()["orderId"]
        async with asyncio.timeout(DEADLINE):
            while (await http.get(f"/trading/orders/{order_id}")).json()["status"] != "canceled":
                await asyncio.sleep(0.02)


@pytest.fixture
def secret_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET + "\n"))


async def test_a_shared_secret_is_read_from_standard_input_and_told_nobody(
    gateway: RunningGateway, secret_in: None, capfd: pytest.CaptureFixture[str]
) -> None:
    await command(gateway, "set", *ACCEPTED, "--shared-secret", "-")
    text = token(now(), "HS256")
    async with asyncio.timeout(DEADLINE), gateway.http(text) as http:
        while (await http.get("/trading/balance")).status_code != 200:
            await asyncio.sleep(0.02)
    await command(gateway, "show")
    await command(gateway, "show", "--json")
    async with websockets.connect(gateway.ws_url(token=text)) as socket:
        await said(socket, "connected")
    out, err = capfd.readouterr()
    assert "a shared secret" in out
    assert ISSUER in out
    for hidden in (SECRET, text):
        assert hidden not in out + err
