"""The disk is full in the middle of many orders: every answer is what is stored, and all is well once there is room."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from oddswire.cli.check import findings_of
from oddswire.config import Settings
from oddswire.errors import Unavailable
from oddswire.server import app
from oddswire.server.app import Gateway
from oddswire.store.base import Tx
from oddswire.testing.gateway import UNLIMITED, RunningGateway, running_gateway
from tests.acceptance.listener import Listener, Told
from tests.acceptance.server import an_order

USERS = ("ann", "ben", "cat", "dan")
AT_ONCE = 64
ROOMS = (8, 40)
"""Pages the file may still grow by, one wave of orders after the other."""
SETTLED_SECONDS = 5 + 10
"""The window in which an order may leave for its venue, and time to ask what became of it on a slow machine."""
PATIENT = msgspec.structs.replace(UNLIMITED, order_answer_seconds=60)
"""Nobody is to wait that long: what could not be recorded is answered with what is stored, at once."""
KINDS: tuple[Told, ...] = (
    {"price": 0.01},
    {"price": 0.99, "size": 1},
    {"timeInForce": "ioc"},
    {"price": 0.99, "postOnly": True},
    {"marketId": "btc-150k-year-end", "outcomeId": "no", "price": 0.99, "size": 2},
)
"""Orders that rest, fill, are canceled at once, are rejected by the venue, and fill in another market."""


@dataclass
class Disk:
    """The gateway's database, and how far it may grow."""

    running: RunningGateway
    gateway: Gateway

    async def leave_room(self, pages: int | None) -> None:
        def unit(_: Tx) -> int:
            writer = self.gateway.store._writer
            count = writer.execute("PRAGMA page_count").fetchone()[0]
            most = 1_000_000 if pages is None else count + pages
            return int(writer.execute(f"PRAGMA max_page_count={most}").fetchone()[0]) - most

        async with asyncio.timeout(10):
            while True:
                # it may share its batch with an order for which there is no room, and be undone with it
                with suppress(Unavailable):
                    assert await self.gateway.store.write(unit) == 0
                    return

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.running.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    async def settle(self) -> None:
        """Wait until no order is on its way, and our books and the venue's have come equally far."""
        unsettled = "SELECT order_id FROM orders WHERE status IN ('pending', 'unconfirmed')"
        behind = """
            SELECT user_id FROM paper_accounts JOIN streams ON app_id = app AND account = 'user/' || user_id
            LEFT JOIN balances USING (stream_id) WHERE cursor IS NULL OR cursor < version"""
        deadline = time.monotonic() + SETTLED_SECONDS
        while waiting := self.ask(unsettled) + self.ask(behind):
            assert time.monotonic() < deadline, waiting
            await asyncio.sleep(0.05)


@pytest.fixture
async def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Disk]:
    """A gateway in this process, because only here the disk can be made full."""
    made: list[Gateway] = []
    real = app.open_gateway

    async def open_gateway(settings: Settings, database: Path, *, dev: bool) -> Gateway:
        made.append(await real(settings, database, dev=dev))
        return made[0]

    monkeypatch.setattr(app, "open_gateway", open_gateway)
    async with running_gateway(tmp_path, PATIENT) as running:
        yield Disk(running, made[0])


@dataclass
class Asked:
    """One order that was sent, and what was answered."""

    user: str
    client_order_id: str
    status: int
    answer: Told


async def ask_for_orders(https: dict[str, httpx.AsyncClient], wave: int) -> list[Asked]:
    async def one(n: int) -> Asked:
        user = USERS[n % len(USERS)]
        name = f"{wave}-{n}"
        order = an_order(**{"size": 3, **KINDS[n % len(KINDS)]}, clientOrderId=name)
        answer = await https[user].post("/trading/orders", json=order)
        return Asked(user, name, answer.status_code, answer.json())

    async with asyncio.timeout(PATIENT.order_answer_seconds / 2):
        return list(await asyncio.gather(*(one(n) for n in range(AT_ONCE))))


async def test_on_a_full_disk_every_answer_is_what_is_stored(disk: Disk) -> None:
    running = disk.running
    tokens = {user: (await running.sign_in(user)).access_token for user in USERS}
    asked: list[Asked] = []
    async with AsyncExitStack() as stack:
        https = {user: await stack.enter_async_context(running.http(token)) for user, token in tokens.items()}
        heard = {
            user: await stack.enter_async_context(Listener(running.ws_url(token=token)))
            for user, token in tokens.items()
        }
        for socket in heard.values():
            assert (await socket.first())["seq"] == 1
        # the markets' first quotes are not what the disk is full of
        await ask_for_orders(https, 0)
        for wave, pages in enumerate(ROOMS, 1):
            await disk.leave_room(pages)
            asked += await ask_for_orders(https, wave)
            await disk.leave_room(None)
        await disk.settle()

        counted = Counter(one.status for one in asked)
        assert counted[201] > 0, counted
        assert counted[503] > 0, counted
        for one in asked:
            await is_as_answered(https[one.user], one)
        for user in USERS:
            await is_as_told(https[user], heard[user])
        assert disk.ask("SELECT stream_id, client_order_id FROM orders GROUP BY 1, 2 HAVING count(*) > 1") == []
        strangers = """
            SELECT order_id FROM paper_orders WHERE account LIKE 'user/%'
            AND (ref IS NULL OR ref NOT IN (SELECT order_id FROM orders WHERE submitted = 1))"""
        assert disk.ask(strangers) == []
    assert await findings_of(running.database) == []


async def is_as_answered(http: httpx.AsyncClient, one: Asked) -> None:
    """Compare an answer with the order that is stored, by the API."""
    stored = (await http.get("/trading/orders", params={"clientOrderId": one.client_order_id})).json()["data"]
    match one.status:
        case 201:
            (order,) = stored
            assert order == one.answer
        case 202:
            (order,) = stored
            assert order["orderId"] == one.answer["orderId"]
            assert one.answer["status"] in ("pending", "unconfirmed")
        case 422:
            assert one.answer["code"] == "rejected_by_venue", one
            (order,) = stored
            assert order == one.answer["order"]
            assert order["status"] == "rejected"
        case 503:
            assert one.answer["code"] == "store_unavailable", one
            assert stored == [], one
        case _:
            raise AssertionError(one)


async def is_as_told(http: httpx.AsyncClient, socket: Listener) -> None:
    """Compare what a socket heard with the log, and the state with the fold of it."""
    log: list[Told] = []
    page = (await http.get("/trading/events")).json()
    log += page["events"]
    while page["hasMore"]:
        page = (await http.get("/trading/events", params={"since": page["seq"], "epoch": page["epoch"]})).json()
        log += page["events"]
    assert [told["seq"] for told in log] == list(range(1, page["head"] + 1))
    await socket.until(lambda: bool(socket.events) and socket.events[-1]["seq"] >= page["head"])
    assert socket.events == log[1:]
    assert socket.code is None

    await folds(http, log)


async def folds(http: httpx.AsyncClient, log: list[Told]) -> None:
    (balance,) = (await http.get("/trading/balance")).json()["balances"]
    last = [told for told in log if told["type"] == "balance_update"][-1]
    for name in ("tradingBalanceRaw", "walletBalanceRaw", "seq"):
        assert balance[name] == last[name]
    holdings = (await http.get("/trading/holdings")).json()["holdings"]
    told_holdings = {(told["marketId"], told["outcomeId"]): told for told in log if told["type"] == "holding_update"}
    assert {(row["marketId"], row["outcomeId"]): row["size"] for row in holdings} == {
        key: told["size"] for key, told in told_holdings.items() if told["size"]
    }
    orders: list[Told] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await http.get("/trading/orders", params={"limit": 100, **cursor})).json()
        orders += page["data"]
        if not page["hasMore"]:
            break
        cursor = {"cursor": page["nextCursor"]}
    folded: dict[str, str] = {}
    for told in log:
        if told["type"] == "order_submitted":
            folded[told["orderId"]] = "open"
        elif told["type"] == "order_event":
            folded[told["orderId"]] = told["status"]
    assert {order["orderId"]: order["status"] for order in orders} == folded
