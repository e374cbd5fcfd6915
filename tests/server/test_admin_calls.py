"""Who is connected, sending away, and that no page can do either."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from oddswire.clock import SystemClock
from oddswire.testing.gateway import RunningGateway, running_gateway
from tests.server.gateways import an_order, code_of


@asynccontextmanager
async def operated(tmp_path: Path) -> AsyncIterator[tuple[RunningGateway, httpx.AsyncClient]]:
    async with (
        running_gateway(tmp_path) as gateway,
        httpx.AsyncClient(base_url=gateway.admin_url, trust_env=False) as admin,
    ):
        yield gateway, admin


async def connections(admin: httpx.AsyncClient, **query: str | int) -> list[dict[str, Any]]:
    answer = await admin.get("/connections", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def test_who_is_connected_is_told_with_cursor_and_lag(tmp_path: Path) -> None:
    before = SystemClock().now()
    async with operated(tmp_path) as (gateway, admin), AsyncExitStack() as stack:
        ann = (await gateway.sign_in("ann")).access_token
        screen = await stack.enter_async_context(websockets.connect(gateway.ws_url(token=ann)))
        await screen.recv()
        anonymous = await stack.enter_async_context(websockets.connect(gateway.ws_url()))
        await anonymous.recv()
        async with gateway.http(ann) as http:
            assert (await http.post("/trading/orders", json=an_order(clientOrderId="a"))).status_code == 201
        while '"order_submitted"' not in str(await screen.recv()):
            pass
        first, second = await connections(admin)
        assert first == {
            **{"number": 1, "app": "demo", "user": "ann", "session": first["session"], "address": "127.0.0.1"},
            **{"connectedAt": first["connectedAt"], "state": "signed in", "lag": 0, "queuedBytes": 0},
            **{"cursor": first["head"], "head": first["head"]},
        }
        assert first["session"].startswith("ses_")
        assert before <= first["connectedAt"] <= SystemClock().now()
        assert first["head"] >= 2
        assert (second["number"], second["user"], second["state"], second["lag"]) == (2, None, "anonymous", None)
        assert [row["number"] for row in await connections(admin, user="ann")] == [1]
        assert await connections(admin, app="other") == []
        assert ann not in str([first, second])


async def test_connections_are_told_in_pages(tmp_path: Path) -> None:
    async with operated(tmp_path) as (gateway, admin), AsyncExitStack() as stack:
        for _ in range(5):
            socket = await stack.enter_async_context(websockets.connect(gateway.ws_url()))
            await socket.recv()
        seen: list[int] = []
        cursor: str | None = "0"
        for _ in range(3):
            page = (await admin.get(f"/connections?limit=2&cursor={cursor}")).json()
            seen += [row["number"] for row in page["data"]]
            cursor = page["nextCursor"]
        assert seen == [1, 2, 3, 4, 5]
        assert cursor is None


@pytest.mark.parametrize(
    ("query", "path"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=1.0", "limit"), ("cursor=x", "cursor"), ("who=ann", "who")],
)
async def test_a_wrong_question_is_told(tmp_path: Path, query: str, path: str) -> None:
    async with operated(tmp_path) as (_, admin):
        answer = await admin.get(f"/connections?{query}")
        assert code_of(answer) == (400, "invalid_parameter")
        assert answer.json()["path"] == path


async def test_a_kick_ends_every_session_and_socket_of_a_user_and_nobody_else_s(tmp_path: Path) -> None:
    async with operated(tmp_path) as (gateway, admin), AsyncExitStack() as stack:
        signed_in = [await gateway.sign_in(user) for user in ("ann", "ann", "bob")]
        sockets = []
        for who in signed_in:
            socket = await stack.enter_async_context(websockets.connect(gateway.ws_url(token=who.access_token)))
            await socket.recv()
            sockets.append(socket)
        answer = await admin.post("/kick", json={"app": "demo", "user": "ann"})
        assert (answer.status_code, answer.json()) == (200, {"sessions": 2, "connections": 2})
        for socket in sockets[:2]:
            async with asyncio.timeout(5):
                await socket.wait_closed()
            assert socket.close_code == 4001
        for who, status in zip(signed_in, (401, 401, 200), strict=True):
            async with gateway.http(who.access_token) as http:
                assert (await http.get("/trading/balance")).status_code == status
        assert [row["user"] for row in await connections(admin)] == ["bob"]
        # a sign-in after it is good
        async with gateway.http((await gateway.sign_in("ann")).access_token) as http:
            assert (await http.get("/trading/balance")).status_code == 200
        again = await admin.post("/kick", json={"app": "demo", "user": "nobody"})
        assert again.json() == {"sessions": 0, "connections": 0}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b'{"app":"demo"}', 400, "invalid_body"),
        (b'{"app":"demo","user":1}', 400, "invalid_body"),
        (b'{"app":"demo","user":"ann","also":1}', 400, "invalid_body"),
        (b'{"app":"nowhere","user":"ann"}', 403, "unknown_app"),
        (b" " * 5000, 413, "body_too_large"),
    ],
)
async def test_a_kick_that_cannot_be_read_kicks_nobody(tmp_path: Path, body: bytes, status: int, code: str) -> None:
    async with operated(tmp_path) as (_, admin):
        assert code_of(await admin.post("/kick", content=body)) == (status, code)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9464"},
        {"host": "evil.example"},
        {"host": "evil.example:9464"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example:80"},
        {"host": "[::1].evil.example"},
        {"host": ""},
    ],
    ids=str,
)
async def test_no_page_may_ask_or_kick(tmp_path: Path, headers: dict[str, str]) -> None:
    async with operated(tmp_path) as (gateway, admin):
        token = (await gateway.sign_in("ann")).access_token
        for path in ("/metrics", "/readyz", "/connections", "/nothing"):
            assert code_of(await admin.get(path, headers=headers)) == (403, "operator_only")
        kick = await admin.post("/kick", headers=headers, json={"app": "demo", "user": "ann"})
        assert code_of(kick) == (403, "operator_only")
        async with gateway.http(token) as http:
            assert (await http.get("/trading/balance")).status_code == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9464", "10.1.2.3:1", "[::1]:9464", "localhost", "LOCALHOST:1"]
)
async def test_a_tool_may_ask_by_address(tmp_path: Path, host: str) -> None:
    async with operated(tmp_path) as (_, admin):
        assert (await admin.get("/readyz", headers={"host": host})).status_code == 200


async def test_other_methods_and_paths_are_told(tmp_path: Path) -> None:
    async with operated(tmp_path) as (_, admin):
        wrong = await admin.get("/kick")
        assert code_of(wrong) == (405, "method_not_allowed")
        assert wrong.headers["allow"] == "POST"
        assert code_of(await admin.post("/metrics")) == (405, "method_not_allowed")
        elsewhere = await admin.get("/trading/orders")
        assert (elsewhere.status_code, elsewhere.headers["content-type"]) == (404, "text/plain")
        assert "/connections" in elsewhere.text
        head = await admin.head("/readyz")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 0


async def test_the_api_s_own_port_knows_none_of_it(tmp_path: Path) -> None:
    async with operated(tmp_path) as (gateway, _), gateway.http() as http:
        assert (await http.get("/connections")).status_code == 404
        assert (await http.post("/kick", json={"app": "demo", "user": "ann"})).status_code == 404
