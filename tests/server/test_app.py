"""The process as a whole: starting, being refused a start, sockets, and ending."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from websockets.exceptions import InvalidStatus

from oddswire.errors import OddswireError, OperatorError
from oddswire.server.app import serve
from oddswire.server.process import Address, Background, signals_set
from oddswire.testing.gateway import ORIGIN, UNLIMITED, running_gateway
from oddswire.venues.paper.adapter import PaperVenue
from tests.server.gateways import an_order


async def frame(socket: websockets.ClientConnection) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 5))
    return told


async def closing(socket: websockets.ClientConnection) -> tuple[int, dict[str, Any]]:
    await asyncio.wait_for(socket.wait_closed(), 5)
    return socket.close_code or 0, json.loads(socket.close_reason or "{}")


async def test_what_an_order_does_arrives_on_the_socket(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        async with websockets.connect(gateway.ws_url(token=token)) as socket, gateway.http(token) as http:
            assert (await frame(socket))["userId"] == "ann"
            order = (await http.post("/trading/orders", json=an_order())).json()
            submitted, balance = await frame(socket), await frame(socket)
            assert (submitted["type"], submitted["orderId"]) == ("order_submitted", order["orderId"])
            assert balance["type"] == "balance_update"
            assert (await http.get("/trading/balance")).json()["seq"] == balance["seq"]


async def test_a_token_may_come_in_a_header_and_is_preferred_there(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        headers = {"authorization": f"Bearer {token}"}
        async with websockets.connect(gateway.ws_url(token="nonsense"), additional_headers=headers) as socket:
            assert (await frame(socket))["userId"] == "ann"


async def test_who_may_not_connect_is_told_in_a_way_it_can_read(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        plain = f"{gateway.address.ws_url}?appId="
        for url, status in [
            (gateway.address.ws_url, 400),
            (plain, 400),
            (plain + "nobody", 403),
            (gateway.ws_url(since="x"), 400),
            (gateway.ws_url(since="-1"), 400),
            (gateway.ws_url(cancelOnDisconnect="301"), 400),
            (gateway.ws_url(cancelOnDisconnect="-1"), 400),
            (gateway.ws_url(cancelOnDisconnect="soon"), 400),
            (gateway.ws_url(cancelOnDisconnect=""), 400),
        ]:
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(url)
            assert refused.value.response.status_code == status, url
        for url, origin, code, error in [
            (plain + "nobody", ORIGIN, 4004, "unknown_app"),
            (gateway.ws_url(token=token), "https://evil.example", 4005, "origin_not_allowed"),
            (gateway.ws_url(token="nonsense"), ORIGIN, 4101, "token_invalid"),
            (gateway.ws_url(token="nonsense"), None, 4101, "token_invalid"),
        ]:
            async with websockets.connect(url, origin=origin) as socket:  # type: ignore[arg-type]  # plain text
                told = await frame(socket)
                assert (told["type"], told["code"]) == ("error", error)
                assert (await closing(socket))[0] == code


async def test_signing_out_closes_the_session_s_sockets(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        mine, other = await gateway.sign_in("ann"), await gateway.sign_in("ann")
        async with (
            websockets.connect(gateway.ws_url(token=mine.access_token)) as ended,
            websockets.connect(gateway.ws_url(token=other.access_token)) as stays,
            gateway.http(mine.access_token) as http,
        ):
            await frame(ended)
            await frame(stays)
            assert (await http.post("/auth/sign-out")).status_code == 204
            assert (await closing(ended))[0] == 4001
            await stays.send('{"action":"ping"}')
            assert (await frame(stays))["type"] == "pong"
        async with websockets.connect(gateway.ws_url(token=mine.access_token)) as late:
            assert (await frame(late))["code"] == "session_revoked"
            assert (await closing(late))[0] == 4001


async def test_signing_out_cancels_at_once_what_an_armed_session_has_open(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        mine, other = await gateway.sign_in("ann"), await gateway.sign_in("ann")
        async with (
            websockets.connect(gateway.ws_url(token=mine.access_token, cancelOnDisconnect=300)) as ended,
            websockets.connect(gateway.ws_url(token=other.access_token)) as stays,
            gateway.http(mine.access_token) as http,
            gateway.http(other.access_token) as others,
            httpx.AsyncClient(base_url=gateway.admin_url, trust_env=False) as admin,
        ):
            assert (await frame(ended))["cancelOnDisconnect"] == 300
            assert "cancelOnDisconnect" not in await frame(stays)
            assert "oddswire_sessions_armed 1.0" in (await admin.get("/metrics")).text
            placed = (await http.post("/trading/orders", json=an_order())).json()
            left = (await others.post("/trading/orders", json=an_order())).json()
            assert (await http.post("/auth/sign-out")).status_code == 204
            while (told := await frame(stays)).get("event") != "canceled":
                pass
            assert (told["orderId"], told["errorReason"]) == (placed["orderId"], "canceled_on_disconnect")
            found = (await others.get("/trading/orders", params={"status": "open"})).json()["data"]
            assert [order["orderId"] for order in found] == [left["orderId"]]
            metrics = (await admin.get("/metrics")).text
            assert "oddswire_sessions_armed 0.0" in metrics
            assert "oddswire_orders_canceled_on_disconnect_total 1.0" in metrics


async def test_at_the_end_everybody_is_sent_away_and_the_books_are_there_again(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = (await gateway.sign_in("ann")).access_token
        async with gateway.http(token) as http:
            await http.post("/trading/orders", json=an_order())
            before = (await http.get("/trading/balance")).text
        socket = await websockets.connect(gateway.ws_url(token=token))
        await frame(socket)
        gateway.stop.set()
        code, reason = await closing(socket)
        assert (code, reason["code"]) == (4300, "draining")
        assert 2000 <= reason["retryAfterMs"] <= 10_000
    async with running_gateway(tmp_path) as gateway, gateway.http(token) as http:
        assert (await http.get("/trading/balance")).text == before
        assert len((await http.get("/trading/orders?status=open")).json()["data"]) == 1


async def test_while_draining_nobody_new_is_taken(tmp_path: Path) -> None:
    patient = msgspec.structs.replace(UNLIMITED, drain_seconds=2)
    async with running_gateway(tmp_path, patient) as gateway:
        async with websockets.connect(gateway.ws_url()) as socket, gateway.http() as http:
            await frame(socket)
            gateway.stop.set()
            async with asyncio.timeout(1):
                while (await http.get("/readyz")).status_code != 503:
                    pass
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(gateway.ws_url())
            assert refused.value.response.status_code == 503
        started = time.monotonic()
    # the last one left by itself: nobody is waited for any more
    assert time.monotonic() - started < 1.5


async def served(tmp_path: Path, **other: Any) -> None:
    arguments: dict[str, Any] = {
        **{"host": "127.0.0.1", "port": 0, "admin": None, "database": tmp_path / "oddswire.db", "dev": True},
        **other,
    }
    await serve(UNLIMITED, **arguments)


async def test_development_is_for_this_machine_only(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "gateway.example"):
        with pytest.raises(OperatorError) as told:
            await served(tmp_path, host=host, stop=asyncio.Event())
        assert told.value.code == "usage"
    assert not (tmp_path / "oddswire.db").exists()


async def test_a_database_is_served_once(tmp_path: Path) -> None:
    async with running_gateway(tmp_path):
        with pytest.raises(OperatorError) as told:
            await served(tmp_path, stop=asyncio.Event())
        assert told.value.code == "database_locked"


async def test_the_demo_app_is_made_once(tmp_path: Path) -> None:
    for _ in range(2):
        async with running_gateway(tmp_path) as gateway:
            await gateway.sign_in("ann")


async def test_a_signal_ends_it(tmp_path: Path) -> None:
    ready: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(served(tmp_path, ready=ready.set_result))
    address = await ready
    async with httpx.AsyncClient(base_url=address.url) as http:
        assert (await http.get("/readyz")).status_code == 200
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 5)


async def test_a_part_that_ends_by_itself_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gives_up(self: PaperVenue) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(PaperVenue, "run", gives_up)
    with pytest.raises(OddswireError) as told:
        await asyncio.wait_for(served(tmp_path, stop=asyncio.Event()), 10)
    assert told.value.code == "internal"
    assert "paper venue" in told.value.detail


async def test_a_task_that_returns_is_as_dead_as_one_that_fails() -> None:
    background = Background()

    async def returns() -> None:
        pass

    background.add("short one", returns())
    assert await background.until(asyncio.Event()) == "short one"
    await background.stop()


async def test_a_second_signal_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    stop = asyncio.Event()
    with signals_set(stop):
        for expected in ([], [0]):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(stop.wait(), 5)
            async with asyncio.timeout(5):
                while ends != expected:
                    await asyncio.sleep(0.005)
