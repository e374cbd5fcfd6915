"""The example bot keeps one order through the death of its gateway and its own."""

import asyncio
import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import oddswire
from oddswire.cli.check import findings_of
from oddswire.cli.root import run
from oddswire.testing.gateway import RunningGateway, running_gateway
from tests.acceptance.server import Server, command, running_server

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


async def test_a_bot_that_is_signed_out_signs_in_anew(own_server: Server) -> None:
    bot = Runner(own_server)
    try:
        async with own_server.http(own_server.sign_in("bot")["accessToken"]) as http:
            await until_open(http, ["bot-1"], bot)
        kicked = command("user", "kick", "bot", "--app", own_server.app, "--database", str(own_server.database))
        assert kicked.returncode == 0, kicked.stderr
        # it was armed: its order goes with its session, and another takes its place
        async with own_server.http(own_server.sign_in("bot")["accessToken"]) as http:
            await until_open(http, ["bot-2"], bot)
        assert "Traceback" not in bot.said()
        assert "signed out" in bot.said()
    finally:
        bot.kill()


async def test_a_bot_with_a_wrong_key_says_so_in_a_line(own_server: Server) -> None:
    own_server.api_key = "ow_wrong"
    bot = Runner(own_server)
    assert await asyncio.to_thread(bot.process.wait, 20) == 1
    said = (own_server.database.parent / "bot.log").read_text()
    assert "Traceback" not in said
    assert "api_key_invalid" in said


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


OTHER: dict[str, Any] = {"venue": "paper", "market_id": "fed-cut-dec", "outcome_id": "yes", "side": "buy"}


async def set_status(gateway: RunningGateway, client: oddswire.Client, word: str) -> None:
    """Let the operator pause or resume the market, and return once orders are refused or taken."""
    words = ("paper", word, "fed-cut-dec", "--app", gateway.app_id, "-d", str(gateway.database))
    assert await asyncio.to_thread(run, words) == 0
    async with asyncio.timeout(SECONDS):
        while await is_taken(client) != (word == "resume"):
            await asyncio.sleep(0.02)


async def is_taken(client: oddswire.Client) -> bool:
    try:
        await client.orders.place(**OTHER, price="0.01", size=1, time_in_force="ioc")
    except oddswire.ServerRefused as said:
        if "market_closed" not in str(said):
            raise
        return False
    return True


def own_bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the example as a module, in a hurry."""
    monkeypatch.setenv("BOT_MEMORY", str(tmp_path / "memory.json"))
    spec = importlib.util.spec_from_file_location("example_bot", BOT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "MOST_SECONDS", 0.3)
    return module


async def test_it_minds_its_own_orders_and_waits_longer_while_the_market_is_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = own_bot(tmp_path, monkeypatch)
    async with (
        running_gateway(tmp_path) as gateway,
        oddswire.Client(base_url=gateway.base_url, app_id=gateway.app_id) as client,
    ):
        await client.sign_in("bot", api_key=gateway.api_key)
        bot = module.Bot(client, {})
        bot.state = await client.snapshot()
        await client.orders.place(**OTHER, price="0.02", size=1, client_order_id="by-hand")
        await set_status(gateway, client, "pause")
        times: list[float] = []
        place = bot.place

        async def timed(terms: dict[str, Any]) -> Any:
            times.append(time.monotonic())
            return await place(terms)

        bot.place = timed
        following, tending = asyncio.create_task(bot.follow()), asyncio.create_task(bot.tend())
        async with asyncio.timeout(SECONDS):
            while len(times) < 6:
                await asyncio.sleep(0.01)
            await set_status(gateway, client, "resume")
            while not any(module.is_ours(order.client_order_id) for order in bot.state.orders.values()):
                await asyncio.sleep(0.01)
        assert any(order.client_order_id == "by-hand" for order in bot.state.orders.values())
        for task in (following, tending):
            task.cancel()
        await asyncio.gather(following, tending, return_exceptions=True)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(gap >= least for gap, least in zip(gaps, (0.05, 0.1, 0.2, 0.3, 0.3), strict=False)), gaps
    said = capsys.readouterr().out
    assert "market_closed" in said
    assert "by-hand" not in said
