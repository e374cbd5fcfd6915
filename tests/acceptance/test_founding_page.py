"""A client that follows the founding page step by step and knows nothing more."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tests.acceptance.server import ORIGIN, Server, an_order

NODE = Path(__file__).parent / "node"


async def frame(socket: websockets.ClientConnection) -> tuple[str, dict[str, Any]]:
    raw = await asyncio.wait_for(socket.recv(), 5)
    assert isinstance(raw, str)
    return raw, json.loads(raw)


async def test_connect_with_a_token_then_place_then_both_events_with_their_types(server: Server) -> None:
    tokens = server.sign_in("user-123")
    async with websockets.connect(server.ws_url(token=tokens["accessToken"])) as socket:
        _, connected = await frame(socket)
        assert (connected["type"], connected["appId"], connected["userId"]) == (
            "connected",
            "shop",
            server.prefix + "user-123",
        )
        async with server.http(tokens["accessToken"]) as http:
            answer = await http.post("/trading/orders", json=an_order(price=0.01, size=10))
        assert answer.status_code == 201
        raw, submitted = await frame(socket)
        assert next(iter(submitted)) == "type"
        assert submitted["type"] == "order_submitted"
        assert submitted["venue"] == "paper"
        assert submitted["orderId"] == answer.json()["orderId"]
        assert submitted["side"] == "buy"
        assert submitted["marketId"] == "fed-cut-dec"
        assert re.search(r'"price":0\.01[,}]', raw)
        assert re.search(r'"size":10[,}]', raw)
        assert re.search(r'"timestamp":1[0-9]{12}[,}]', raw)
        raw, balance = await frame(socket)
        assert balance["type"] == "balance_update"
        assert balance["venue"] == "paper"
        assert re.search(r'"tradingBalanceCents":99990[,}]', raw)
        assert re.search(r'"walletBalanceCents":100000[,}]', raw)
        assert re.search(r'"timestamp":1[0-9]{12}[,}]', raw)


async def test_connect_without_a_token_then_authenticate(server: Server) -> None:
    tokens = server.sign_in("user-123")
    async with websockets.connect(server.ws_url()) as socket:
        _, connected = await frame(socket)
        assert connected == {"type": "connected", "appId": "shop"}
        await socket.send(json.dumps({"action": "authenticate", "token": tokens["accessToken"]}))
        _, authenticated = await frame(socket)
        assert (authenticated["type"], authenticated["userId"]) == ("authenticated", server.prefix + "user-123")
        async with server.http(tokens["accessToken"]) as http:
            await http.post("/trading/orders", json=an_order())
        assert [(await frame(socket))[1]["type"] for _ in range(2)] == ["order_submitted", "balance_update"]


async def test_no_initial_state_is_sent_and_state_is_read_over_rest(server: Server) -> None:
    tokens = server.sign_in("user-123")
    async with server.http(tokens["accessToken"]) as http:
        await http.post("/trading/orders", json=an_order())
        async with websockets.connect(server.ws_url(token=tokens["accessToken"])) as socket:
            await frame(socket)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.5)
        balance = (await http.get("/trading/balance")).json()
        holdings = (await http.get("/trading/holdings")).json()
    assert balance["balances"][0]["tradingBalanceCents"] == 99_990
    assert holdings["holdings"] == []


async def test_the_same_refresh_token_again_and_again_after_a_killed_socket(server: Server) -> None:
    tokens = server.sign_in("user-123")
    access_token = tokens["accessToken"]
    for _ in range(3):
        socket = await websockets.connect(server.ws_url(token=access_token))
        assert (await frame(socket))[1]["userId"] == server.prefix + "user-123"
        socket.transport.abort()
        async with httpx.AsyncClient(base_url=server.url, headers={"x-app-id": "shop"}) as http:
            answer = await http.post("/auth/token/refresh", json={"refreshToken": tokens["refreshToken"]})
        assert answer.status_code == 200
        assert set(answer.json()) == {"accessToken", "refreshToken", "expiresIn", "user"}
        access_token = answer.json()["accessToken"]
    async with websockets.connect(server.ws_url(token=access_token)) as socket, server.http(access_token) as http:
        await frame(socket)
        await http.post("/trading/orders", json=an_order())
        assert (await frame(socket))[1]["type"] == "order_submitted"


async def test_a_refresh_that_fails_says_so(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers={"x-app-id": "shop"}) as http:
        answer = await http.post("/auth/token/refresh", json={"refreshToken": "never-given"})
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh_token_invalid")


async def test_a_browser_on_the_app_s_origin_may_read_the_answers_and_no_other(server: Server) -> None:
    tokens = server.sign_in("user-123")
    ask = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-app-id,content-type",
    }
    async with httpx.AsyncClient(base_url=server.url) as http:
        for path in ("/auth/token/refresh", "/trading/orders"):
            preflight = await http.options(path, headers={"origin": ORIGIN, **ask})
            assert preflight.status_code == 204
            assert preflight.headers["access-control-allow-origin"] == ORIGIN
            allowed = preflight.headers["access-control-allow-headers"].lower()
            assert all(name in allowed for name in ("authorization", "x-app-id", "content-type"))
            foreign = await http.options(path, headers={"origin": "https://evil.example", **ask})
            assert "access-control-allow-origin" not in foreign.headers
        headers = {"x-app-id": "shop", "authorization": f"Bearer {tokens['accessToken']}", "origin": ORIGIN}
        answer = await http.get("/trading/balance", headers=headers)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
        refused = await http.get("/trading/balance", headers={**headers, "origin": "https://evil.example"})
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")


def test_the_same_steps_in_node(server: Server) -> None:
    if shutil.which("node") is None or not (NODE / "node_modules" / "ws").is_dir():
        pytest.skip("node with the `ws` package is not here (npm ci --prefix tests/acceptance/node)")
    tokens = server.sign_in("user-123")
    ran = subprocess.run(
        ["node", str(NODE / "founding_page.mjs"), server.url, "shop", json.dumps(tokens)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "all steps passed"
