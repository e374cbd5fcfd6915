"""Killed at any moment, the gateway starts into the same truth: what was answered is there, nothing is there twice."""

import asyncio
import json
import random
from pathlib import Path

import httpx
import websockets

from tests.acceptance.server import UNLIMITED, Server, an_order, command, running_server


async def place_until_killed(server: Server, token: str, lane: int, answered: dict[str, str]) -> None:
    async with server.http(token) as http:
        for n in range(1000):
            body = an_order(clientOrderId=f"{lane}-{n}", price=random.choice((0.01, 0.5, 0.99)), size=1)
            try:
                answer = await http.post("/trading/orders", json=body)
            except httpx.TransportError:
                return
            if answer.status_code == 201:
                answered[f"{lane}-{n}"] = answer.json()["orderId"]


async def kill_under_load(server: Server, token: str, round_: int) -> dict[str, str]:
    answered: dict[str, str] = {}
    lanes = [asyncio.create_task(place_until_killed(server, token, round_ * 100 + n, answered)) for n in range(16)]
    wanted = 20 + round_ * 13
    async with asyncio.timeout(20):
        while len(answered) < wanted:
            await asyncio.sleep(0.002)
    server.kill()
    await asyncio.gather(*lanes)
    return answered


async def settled(http: httpx.AsyncClient) -> None:
    """Wait until the venue has been asked about every order in doubt: at most the 5 s in which one may still arrive."""
    async with asyncio.timeout(20):
        while (await http.get("/trading/orders", params={"status": "unconfirmed"})).json()["data"]:
            await asyncio.sleep(0.1)


async def test_killed_under_load_again_and_again(tmp_path: Path) -> None:
    with running_server(tmp_path, **UNLIMITED) as server:
        tokens = server.sign_in("ann")
        async with server.http(tokens["accessToken"]) as http:
            start = (await http.get("/trading/balance")).json()
        answered: dict[str, str] = {}
        for round_ in range(5):
            answered |= await kill_under_load(server, tokens["accessToken"], round_)
            server.start(**UNLIMITED)
        async with server.http(tokens["accessToken"]) as http:
            for client_order_id, order_id in answered.items():
                found = (await http.get("/trading/orders", params={"clientOrderId": client_order_id})).json()["data"]
                assert [order["orderId"] for order in found] == [order_id]
            async with asyncio.timeout(20):  # an intent whose order never arrived is in doubt for 5 s
                while "pending" in command("check", "--database", str(server.database), "--json").stdout:
                    await asyncio.sleep(0.2)
            await settled(http)
            query = f"&since={start['seq']}&epoch={start['epoch']}"
            socket_url = server.ws_url(token=tokens["accessToken"]) + query
            head = (await http.get("/trading/balance")).json()["seq"]
            async with websockets.connect(socket_url) as socket:
                connected = json.loads(await socket.recv())
                assert connected["resumed"] is True
                seen = [json.loads(await asyncio.wait_for(socket.recv(), 5)) for _ in range(head - start["seq"])]
        assert [event["seq"] for event in seen] == list(range(start["seq"] + 1, head + 1))
        submitted = [event["orderId"] for event in seen if event["type"] == "order_submitted"]
        assert len(submitted) == len(set(submitted)) >= len(answered)
        checked = command("check", "--database", str(server.database), "--json")
        assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_a_restored_backup_refuses_the_cursors_of_before(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        tokens = server.sign_in("ann")
        async with server.http(tokens["accessToken"]) as http:
            before = (await http.get("/trading/balance")).json()
            copy = tmp_path / "copy.db"
            made = command("backup", str(copy), "--database", str(server.database))
            assert made.returncode == 0, made.stdout + made.stderr
            await http.post("/trading/orders", json=an_order())
        refused = command("restore", str(copy), "--database", str(server.database), "--force")
        assert refused.returncode != 0, "a served database must not be replaced"
        server.kill()
        restored = command("restore", str(copy), "--database", str(server.database), "--force")
        assert restored.returncode == 0, restored.stdout + restored.stderr
        server.start()
        async with server.http(tokens["accessToken"]) as http:
            after = (await http.get("/trading/balance")).json()
            assert after["seq"] == before["seq"]
            assert after["epoch"] != before["epoch"]
            page = await http.get("/trading/events", params={"since": before["seq"], "epoch": before["epoch"]})
        assert (page.status_code, page.json()["code"]) == (410, "epoch_changed")
        async with websockets.connect(
            server.ws_url(token=tokens["accessToken"], since=before["seq"], epoch=before["epoch"])
        ) as socket:
            connected = json.loads(await socket.recv())
        assert (connected["resumed"], connected["reason"]) == (False, "epoch_changed")
