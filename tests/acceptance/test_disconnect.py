"""Cancel on disconnect with real processes: what an armed client leaves behind is canceled, whoever is killed."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import websockets

from oddswire.client import Client
from tests.acceptance.listener import Listener, Told
from tests.acceptance.server import Server, an_order, running_server

SECONDS = 2
AWAY = "canceled_on_disconnect"


@asynccontextmanager
async def trader(server: Server, user: str) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """Sign in anew: a session of its own, and what it takes to trade in it."""
    token = server.sign_in(user)["accessToken"]
    async with server.http(token) as http:
        yield token, http


async def place(http: httpx.AsyncClient) -> str:
    answer = await http.post("/trading/orders", json=an_order())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["orderId"])


async def orders(http: httpx.AsyncClient) -> dict[str, str]:
    found = (await http.get("/trading/orders")).json()["data"]
    return {order["orderId"]: f"{order['status']} {order.get('errorReason', '')}".strip() for order in found}


async def until_canceled(http: httpx.AsyncClient, order: str, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while (await orders(http))[order] != f"canceled {AWAY}":
            await asyncio.sleep(0.05)


async def arm(server: Server, token: str, seconds: int | None = SECONDS) -> websockets.ClientConnection:
    """Connect as a page does: sign in, and arm the session, by a frame."""
    socket = await websockets.connect(server.ws_url())
    await socket.recv()
    await socket.send(json.dumps({"action": "authenticate", "token": token, "cancelOnDisconnect": seconds}))
    answer: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 5))
    assert (answer["type"], answer.get("cancelOnDisconnect")) == ("authenticated", seconds)
    return socket


def cut(socket: websockets.ClientConnection) -> None:
    """End a client as a crash does: without a word."""
    socket.transport.abort()


def canceled(told: list[Told]) -> list[tuple[str, str]]:
    return [(event["orderId"], event["errorReason"]) for event in told if event.get("event") == "canceled"]


async def test_what_a_client_that_dies_has_open_is_canceled_and_told(server: Server) -> None:
    async with trader(server, "ann") as (token, http), trader(server, "ann") as (other, other_http):
        socket = await arm(server, token)
        mine, others = [await place(http), await place(http)], await place(other_http)
        async with Listener(server.ws_url(token=other)) as heard:
            await heard.first()
            cut(socket)
            began = time.monotonic()
            await heard.until(lambda: len(canceled(heard.events)) == 2)
            assert time.monotonic() - began >= SECONDS - 0.1
            assert sorted(canceled(heard.events)) == sorted((order, AWAY) for order in mine)
            numbers = [event["seq"] for event in heard.events]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert await orders(http) == {**dict.fromkeys(mine, f"canceled {AWAY}"), others: "open"}


async def test_a_session_that_is_not_armed_leaves_its_orders(server: Server) -> None:
    async with trader(server, "ann") as (token, http), trader(server, "ann") as (armed, armed_http):
        silent = await websockets.connect(server.ws_url(token=token))
        await silent.recv()
        stays, goes = await place(http), await place(armed_http)
        socket = await arm(server, armed)
        cut(silent)
        cut(socket)
        await until_canceled(http, goes)
        assert (await orders(http))[stays] == "open"


async def test_who_comes_back_in_time_keeps_its_orders(server: Server) -> None:
    async with trader(server, "ann") as (token, http), trader(server, "bob") as (other, other_http):
        order, witness = await place(http), await place(other_http)
        cut(await arm(server, token))
        back = await websockets.connect(server.ws_url(token=token))
        assert json.loads(await back.recv())["cancelOnDisconnect"] == SECONDS
        cut(await arm(server, other))  # whose time begins later, and so has run out by the end of this one's
        await until_canceled(other_http, witness)
        assert await orders(http) == {order: "open"}
        await back.close()
        await until_canceled(http, order)


async def test_who_gives_it_up_keeps_its_orders(server: Server) -> None:
    async with trader(server, "ann") as (token, http), trader(server, "bob") as (other, other_http):
        order, witness = await place(http), await place(other_http)
        socket = await arm(server, token)
        await socket.send(json.dumps({"action": "authenticate", "token": token, "cancelOnDisconnect": 0}))
        while (told := json.loads(await asyncio.wait_for(socket.recv(), 5)))["type"] != "authenticated":
            pass
        assert "cancelOnDisconnect" not in told
        cut(socket)
        cut(await arm(server, other))
        await until_canceled(other_http, witness)
        assert await orders(http) == {order: "open"}


async def test_killed_in_between_the_gateway_does_not_forget(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        async with (
            trader(server, "ann") as (gone, gone_http),
            trader(server, "bob") as (here, here_http),
            trader(server, "carol") as (back, back_http),
            trader(server, "dave") as (_, dave_http),
        ):
            lost = [await place(gone_http), await place(here_http)]
            kept = [await place(back_http), await place(dave_http)]
            cut(await arm(server, gone))
            sockets = [await arm(server, here), await arm(server, back)]
            server.kill()
            for socket in sockets:
                await asyncio.wait_for(socket.wait_closed(), 5)
            server.start()
            started = time.monotonic()
            async with Listener(server.ws_url(token=back)) as heard:
                assert (await heard.first())["cancelOnDisconnect"] == SECONDS
                await until_canceled(gone_http, lost[0])
                await until_canceled(here_http, lost[1])
                assert time.monotonic() - started >= SECONDS - 1, "nobody could come back before"
                assert await orders(back_http) == {kept[0]: "open"}
                assert await orders(dave_http) == {kept[1]: "open"}


async def test_sent_away_by_a_restart_the_time_runs_on(tmp_path: Path) -> None:
    with running_server(tmp_path, ODDSWIRE_DRAIN_SECONDS="0") as server:
        async with trader(server, "ann") as (token, http):
            order = await place(http)
            socket = await arm(server, token)
            assert await asyncio.to_thread(server.terminate) == 0
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 4300
            with closing(sqlite3.connect(server.database)) as database:
                [(gone_at,)] = database.execute("SELECT gone_at FROM disconnects").fetchall()
            assert gone_at is not None, "since when it is gone has to outlive the restart"
            server.start(ODDSWIRE_DRAIN_SECONDS="0")
            assert await orders(http) == {order: "open"}
            await until_canceled(http, order)


async def test_the_client_library_arms_at_the_connect(server: Server) -> None:
    tokens = server.sign_in("ann")
    async with (
        server.http(tokens["accessToken"]) as http,
        Client(
            base_url=server.url, app_id=server.app, access_token=tokens["accessToken"], cancel_on_disconnect=1
        ) as client,
    ):
        order = await place(http)
        async with aclosing(client.events()) as events:
            following = asyncio.ensure_future(anext(events))
            other = await place_until_heard(http, following)
        await until_canceled(http, order)
        await until_canceled(http, other)


async def place_until_heard(http: httpx.AsyncClient, following: "asyncio.Future[Any]") -> str:
    """Place until an event arrives: the stream is open then."""
    order = ""
    async with asyncio.timeout(10):
        while not following.done():
            order = await place(http)
            await asyncio.wait({following}, timeout=0.1)
    return order
