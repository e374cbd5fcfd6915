"""The example bot keeps one order through the death of its gateway and its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from oddswire.cli.check import findings_of
from tests.acceptance.server import Server, running_server

BOT = Path(__file__).parents[2] / "examples" / "bot.py"
SECONDS = 30


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path) as running:
        yield running


class Runner:
    """The bot in a process of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._log = server.database.parent / "bot.log"
        self._started = 0
        self.start()

    def start(self) -> None:
        self._started += 1
        own = {
            **{"ODDSWIRE_URL": self._server.url, "ODDSWIRE_APP": self._server.app},
            **{"ODDSWIRE_API_KEY": self._server.api_key, "BOT_MEMORY": str(self._log.with_name("memory.json"))},
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(BOT)], env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    async def is_waiting(self) -> None:
        """Return once it calls, for as often as it was started."""
        async with asyncio.timeout(SECONDS):
            while self._log.read_text().count("calling ") < self._started:
                await asyncio.sleep(0.02)
        assert self.process.poll() is None, self._log.read_text()

    def said(self) -> str:
        assert self.process.poll() is None, self._log.read_text()
        return self._log.read_text()


async def open_orders(http: httpx.AsyncClient) -> list[str]:
    answer = await http.get("/trading/orders", params={"status": "unconfirmed,open,partially_filled"})
    assert answer.status_code == 200, answer.text
    return [order["clientOrderId"] for order in answer.json()["data"]]


async def until_open(http: httpx.AsyncClient, wanted: list[str], bot: Runner) -> None:
    found: list[str] = []
    try:
        async with asyncio.timeout(SECONDS):
            while found != wanted:
                await asyncio.sleep(0.02)
                found = await open_orders(http)
                assert len(found) <= 1, found
    except TimeoutError:
        raise AssertionError(f"open are {found}; the bot says {bot.said()}") from None


async def cancel_the_one(http: httpx.AsyncClient) -> None:
    (order,) = (await http.get("/trading/orders", params={"status": "open"})).json()["data"]
    assert (await http.post(f"/trading/orders/{order['orderId']}/cancel")).status_code == 202


async def test_the_bot_has_one_order_whatever_dies(own_server: Server) -> None:
    server = own_server
    bot = Runner(server)
    try:
        async with server.http(server.sign_in("bot")["accessToken"]) as http:
            await until_open(http, ["bot-1"], bot)
            server.kill()
            server.start()
            await cancel_the_one(http)
            await until_open(http, ["bot-2"], bot)
            # both are gone, and the bot is back first
            server.kill()
            bot.kill()
            bot.start()
            await bot.is_waiting()
            server.start()
            await cancel_the_one(http)
            await until_open(http, ["bot-3"], bot)
            bot.kill()
            await cancel_the_one(http)
            bot.start()
            await until_open(http, ["bot-4"], bot)
            for number in (5, 6, 7):
                # killed in the middle of replacing it
                await cancel_the_one(http)
                bot.kill()
                bot.start()
                await until_open(http, [f"bot-{number}"], bot)
            orders = (await http.get("/trading/orders", params={"limit": 100})).json()["data"]
        names = [order["clientOrderId"] for order in orders]
        assert sorted(names) == [f"bot-{number}" for number in range(1, 8)]
        assert bot.kill(signal.SIGINT) == 0
    finally:
        bot.kill()
    assert await findings_of(server.database) == []
