"""SIGTERM: sockets stay to the end of the window, are sent away with when to come back, and the process exits 0."""

import asyncio
import json
import signal
import time
from pathlib import Path

import websockets
from websockets.exceptions import ConnectionClosed

from tests.acceptance.server import Server, an_order, running_server


async def told_to_go(socket: websockets.ClientConnection) -> tuple[int, int, float]:
    try:
        while True:
            await socket.recv()
    except ConnectionClosed:
        reason = json.loads(socket.close_reason or "{}")
        assert reason["code"] == "draining"
        return socket.close_code or 0, reason["retryAfterMs"], time.monotonic()


async def drained(server: Server) -> None:
    token = server.sign_in("ann")["accessToken"]
    sockets = [await websockets.connect(server.ws_url(token=token)) for _ in range(10)]
    assert server.process is not None
    started = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    async with server.http(token) as http:
        answer = await http.post("/trading/orders", json=an_order())
    assert answer.status_code == 201, "orders are taken while the window lasts"
    told = await asyncio.wait_for(asyncio.gather(*map(told_to_go, sockets)), 10)
    assert {code for code, _, _ in told} == {4300}
    assert min(at for _, _, at in told) - started >= 0.9
    delays = [delay for _, delay, _ in told]
    assert all(2_000 <= delay <= 10_000 for delay in delays)
    assert len(set(delays)) > 1
    assert await asyncio.to_thread(server.process.wait, 10) == 0


def test_a_gateway_that_is_asked_to_stop_lets_its_clients_go_in_good_order(tmp_path: Path) -> None:
    with running_server(tmp_path, ODDSWIRE_DRAIN_SECONDS="1") as server:
        asyncio.run(drained(server))
