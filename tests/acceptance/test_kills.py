"""`kill -9` at any moment of two hundred orders at once, and at each moment between two commits of one order."""

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from tests.acceptance.follower import Follower, Told, are_whole, begin, events_of
from tests.acceptance.forked import DieAt, ForkedServer, Moment, forked_server
from tests.acceptance.server import UNLIMITED, an_order, command
from tests.server.sockets import Client

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))
AT_ONCE = 200
NEVER = 3600.0
MOMENTS = get_args(Moment)
USERS = 8
RICH = {"ODDSWIRE_PAPER_START_CENTS": "1000000000", **UNLIMITED}
DOUBT_SECONDS = 5
"""How long after its intent an order that the venue does not know may still arrive there."""


@dataclass
class Wanted:
    """An order as its user knows it: `status` and `order_id` are of the answer, if there was one."""

    follower: Follower
    client_order_id: str
    status: int = 0
    order_id: str = ""


@dataclass
class Day:
    """Users of one gateway that is killed again and again, and all that they ever wanted."""

    server: ForkedServer
    followers: list[Follower]
    wanted: list[Wanted] = field(default_factory=list)

    @property
    def answered(self) -> list[Wanted]:
        return [order for order in self.wanted if order.status == 201]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkedServer]:
    with forked_server(tmp_path, **RICH) as running:
        yield running


async def dawn(server: ForkedServer, users: int) -> Day:
    followers = [await begin(server, f"user-{number}") for number in range(users)]
    for follower in followers:
        await follower.connect()
    return Day(server, followers)


async def send(day: Day, wanted: Wanted, terms: Told, client: Client) -> None:
    """Send one order down an open connection, and note the answer if one comes."""
    body = json.dumps(an_order(clientOrderId=wanted.client_order_id, **terms)).encode()
    head = (
        f"POST /trading/orders HTTP/1.1\r\nHost: localhost\r\nx-app-id: {day.server.app}\r\n"
        f"Authorization: Bearer {wanted.follower.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        await client.write(head.encode() + body)
        wanted.status, _, answer = await client.response()
        assert wanted.status == 201, answer
        wanted.order_id = answer["orderId"]
    client.hang_up()


def lot(chance: random.Random) -> Told:
    return {"price": chance.choice((0.01, 0.5, 0.99)), "outcomeId": chance.choice(("yes", "no")), "size": 1}


async def storm(day: Day, name: str, chance: random.Random, kill_after: float = NEVER) -> float:
    """Send all at once, on connections that are open already; return the seconds to the last answer.

    Killed from outside after so many seconds, or by itself where it was prepared to; the answers that were on their
    way count.
    """
    orders = [Wanted(day.followers[n % len(day.followers)], f"{name}-{n}") for n in range(AT_ONCE)]
    day.wanted += orders
    clients = await asyncio.gather(*(Client.connect(day.server.port) for _ in orders))
    began = time.monotonic()
    killing = asyncio.get_running_loop().call_later(kill_after, day.server.kill)
    await asyncio.gather(*(send(day, one, lot(chance), client) for one, client in zip(orders, clients, strict=True)))
    killing.cancel()
    return time.monotonic() - began


async def listen(follower: Follower) -> None:
    """Hear what there is until the socket ends."""
    while await follower.read():
        pass


def listening(day: Day) -> asyncio.Future[list[None]]:
    return asyncio.gather(*map(listen, day.followers))


async def start_again(day: Day) -> None:
    """Start, resume every socket where it ended: what was told before the kill must be what is stored after it."""
    day.server.start(**RICH)
    await asyncio.gather(*(follower.connect() for follower in day.followers))


def pending(day: Day, named: str = "%") -> int:
    """Count the orders that nobody has been heard on."""
    which = "status IN ('pending', 'unconfirmed') AND client_order_id LIKE ?"
    with contextlib.closing(sqlite3.connect(day.server.database)) as books:
        (count,) = books.execute(f"SELECT count(*) FROM orders WHERE {which}", (named,)).fetchone()
    return int(count)


async def no_more_doubt(day: Day) -> None:
    """Wait until the venue has been asked about every one of them, and has had the time in which it may still come."""
    async with asyncio.timeout(DOUBT_SECONDS + 20):
        while pending(day):
            await asyncio.sleep(0.1)


async def orders_of(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = (await http.get("/trading/orders", params=query)).json()
        orders += page["data"]
        if not page["hasMore"]:
            return orders
        query["cursor"] = page["nextCursor"]


async def the_truth_is_one(day: Day) -> None:
    """Look at every promise at once: through REST, through the sockets, in the database, by `oddswire check`."""
    for follower in day.followers:
        async with day.server.http(follower.token) as http:
            orders = await orders_of(http)
            (balance,) = (await http.get("/trading/balance")).json()["balances"]
            log = await events_of(http, follower.epoch)
        ids = Counter(order["clientOrderId"] for order in orders)
        assert set(ids.values()) <= {1}
        stored = {order["clientOrderId"]: order["orderId"] for order in orders if order["status"] != "rejected"}
        for wanted in day.answered:
            if wanted.follower is follower:
                assert stored[wanted.client_order_id] == wanted.order_id
        submitted = Counter(event["orderId"] for event in log if event["type"] == "order_submitted")
        assert submitted == Counter(stored.values()), "each order the venue has had is told of once"
        live = [order for order in orders if order["status"] in ("open", "partially_filled")]
        held = sum(round(order["price"] * 1_000_000) * int(order["remainingAmountRaw"]) for order in live)
        assert int(balance["walletBalanceRaw"]) - int(balance["tradingBalanceRaw"]) == held // 1_000_000
        await follower.read_to(log[-1]["seq"])
        await are_whole(follower)
    at_the_venue(day)
    checked = command("check", "--database", str(day.server.database), "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def at_the_venue(day: Day) -> None:
    """Each order that is ours and not rejected is at the venue once, by its ref, and no other is."""
    with contextlib.closing(sqlite3.connect(day.server.database)) as books:
        refs = Counter(ref for (ref,) in books.execute("SELECT ref FROM paper_orders WHERE ref IS NOT NULL"))
        ours = {order for (order,) in books.execute("SELECT order_id FROM orders WHERE status <> 'rejected'")}
    assert refs == Counter(ours)


@pytest.mark.timeout(300)
async def test_killed_in_two_hundred_orders_again_and_again(server: ForkedServer) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}, {ROUNDS} rounds")  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    day = await dawn(server, USERS)
    ears = listening(day)
    whole = await storm(day, "calm", chance)
    assert len(day.answered) == AT_ONCE
    unanswered, in_doubt = Counter[int](), Counter[int]()
    for round_ in range(ROUNDS):
        server.kill()
        await ears
        by_itself = round_ % 2 == 0
        server.prepare = DieAt(chance.choice(MOMENTS), chance.randint(1, AT_ONCE)) if by_itself else None
        await start_again(day)
        ears, before = listening(day), len(day.answered)
        await storm(day, str(round_), chance, NEVER if by_itself else whole * chance.uniform(0.25, 1))
        server.kill()
        unanswered[round_] = before + AT_ONCE - len(day.answered)
        in_doubt[round_] = pending(day, f"{round_}-%")
        print(f"round {round_}: {unanswered[round_]} unanswered, {in_doubt[round_]} in doubt")  # noqa: T201 - as above
    server.kill()
    await ears
    server.prepare = None
    await start_again(day)
    await no_more_doubt(day)
    await the_truth_is_one(day)
    assert sum(map(bool, unanswered.values())) > ROUNDS / 2, "most kills were in the middle"
    assert sum(map(bool, in_doubt.values())) > ROUNDS / 4, "many of them between two commits of an order"


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_between_two_commits_of_an_order(server: ForkedServer, moment: Moment) -> None:
    server.kill()
    server.prepare = DieAt(moment, 3)
    server.start(**RICH)
    day = await dawn(server, 1)
    (follower,) = day.followers
    day.wanted = [Wanted(follower, f"order-{n}") for n in range(3)]
    ears = listening(day)
    for wanted in day.wanted:
        await send(day, wanted, {"price": 0.5}, await Client.connect(server.port))
    assert server.exit_code() == -9
    await ears
    assert [wanted.status for wanted in day.wanted] == [201, 201, 0]

    server.prepare = None
    await start_again(day)
    await no_more_doubt(day)
    lost = day.wanted[-1]
    async with server.http(follower.token) as http:
        body = an_order(clientOrderId=lost.client_order_id, price=0.5)
        again = await http.post("/trading/orders", json=body)
    assert (again.status_code, again.headers["idempotent-replay"]) == (200, "true")
    told = again.json()
    if moment == "before the venue":
        assert (told["status"], told["errorReason"]) == ("rejected", "not_sent")
    else:
        assert told["status"] == "open"
        lost.status, lost.order_id = 201, told["orderId"]
    await the_truth_is_one(day)
    steps = [json.loads(text) for text in follower.told]
    said = [step.get("event", step["type"]) for step in steps if step.get("orderId") == told["orderId"]]
    if moment == "before the venue":
        assert said[-2:] == ["rejected", "balance_update"] or said == ["rejected"]
    else:
        assert said == ["order_submitted", "balance_update"]
