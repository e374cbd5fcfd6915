"""Every kind of damage is found, and a sound database has none, also while it is written to."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oddswire.clock import SystemClock
from oddswire.orders.audit import CHECKS, STREAM_CHECK, SUBMITTED_CHECK, Finding, Progress, audit
from oddswire.orders.desk import Desk
from oddswire.orders.dispatch import Dispatch
from oddswire.store.sqlite import CORE, SqliteStore
from oddswire.testing.fakes import Answer, ScriptedVenue
from oddswire.venues.base import Account
from oddswire.wire import bodies

USERS = ("alice", "bob")


def an_order(**other: Any) -> bodies.PlaceOrder:
    wanted = {
        **{"venue": "scripted", "marketId": "rain", "outcomeId": "yes"},
        **{"side": "buy", "price": 0.4, "size": 10},
        **other,
    }
    return msgspec.json.decode(msgspec.json.encode(wanted), type=bodies.PlaceOrder)


def a_desk(store: SqliteStore, venue: ScriptedVenue) -> tuple[Desk, Dispatch]:
    clock = SystemClock()
    dispatch = Dispatch(store, {"scripted": venue}, clock, "node", 0.2)
    return Desk(store, {"scripted": venue}, clock, dispatch), dispatch


async def trade(desk: Desk, venue: ScriptedVenue, dispatch: Dispatch, user: str) -> None:
    """Fill a buy, rest a sell and a buy, cancel one, have one rejected and one unconfirmed."""
    steps: list[tuple[Answer, dict[str, Any]]] = [
        ("filled", {}),
        ("open", {"side": "sell", "size": 4, "price": 0.6}),
        ("open", {"price": 0.3}),
        ("open", {"price": 0.2}),
        ("rejected", {"price": 0.1}),
        ("lost_before", {"price": 0.15}),
    ]
    placed = []
    for answer, terms in steps:
        venue.script = [answer]
        placed.append((await desk.place("shop", user, an_order(**terms))).order)
    venue.fill(Account("shop", user), placed[2].order_id, 3_000_000)
    await dispatch.record("scripted", await venue.read(Account("shop", user), None), "venue")
    await desk.cancel("shop", user, placed[3].order_id)
    await until(lambda: placed[3].order_id in {cancel.removeprefix("v-") for cancel in venue.cancels})
    await desk.stop(5)


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.002)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of two users after some trading, with nothing wrong."""
    path = tmp_path_factory.mktemp("audit") / "sound.db"

    async def build() -> None:
        store = await SqliteStore.open(path, [CORE], exclusive=True)
        for user in USERS:
            venue = ScriptedVenue(SystemClock().now)
            desk, dispatch = a_desk(store, venue)
            await desk.open_user("shop", user)
            await trade(desk, venue, dispatch, user)
        await store.close()

    asyncio.run(build())
    return path


async def findings_in(path: Path) -> list[Finding]:
    store = await SqliteStore.open(path, [CORE], exclusive=False)
    try:
        return await audit(store)
    finally:
        await store.close()


async def test_a_sound_database_has_no_findings(sound: Path, tmp_path: Path) -> None:
    assert await findings_in(Path(shutil.copy(sound, tmp_path))) == []


DAMAGE = [
    (
        "entries balance",
        "UPDATE postings SET amount = amount + 1 WHERE account = 'venue' AND asset = 'usd'",
    ),
    ("postings have entries", "INSERT INTO postings VALUES ('fill:gone', 0, 'venue', 'usd', 0)"),
    ("balances are their postings", "UPDATE balances SET cash = cash - 1"),
    ("balances are their postings", "DELETE FROM balances"),
    ("balances are their postings", "DELETE FROM entries WHERE kind = 'transfer'"),
    ("holdings are their postings", "UPDATE holdings SET free = free + 1"),
    ("holdings are their postings", "DELETE FROM holdings"),
    ("no money below zero", "UPDATE balances SET cash = -1"),
    ("no money below zero", "UPDATE balances SET untold = held + 1"),
    ("no contracts below zero", "UPDATE holdings SET free = -1"),
    ("finished orders hold nothing", "UPDATE orders SET money_held = 1 WHERE status = 'filled'"),
    ("finished orders hold nothing", "UPDATE orders SET status = 'filled' WHERE side = 'sell'"),
    ("money held is held by orders", "UPDATE orders SET money_held = money_held + 1 WHERE status = 'partially_filled'"),
    ("money held is held by orders", "UPDATE balances SET untold = 1"),
    ("contracts held are held by orders", "UPDATE orders SET contracts_held = 1 WHERE side = 'sell'"),
    ("contracts held are held by orders", "UPDATE holdings SET untold = 1"),
    ("orders are filled by their fills", "UPDATE orders SET filled = filled + 1 WHERE status = 'filled'"),
    ("orders are filled by their fills", "UPDATE fills SET reversed = 1"),
    ("orders are filled by their fills", "DELETE FROM orders WHERE status = 'filled'"),
    ("events have streams", "DELETE FROM streams WHERE user_id = 'bob'"),
    (STREAM_CHECK, "DELETE FROM events WHERE seq = 5"),
    (STREAM_CHECK, "DELETE FROM events WHERE seq = 1"),
    (STREAM_CHECK, "UPDATE streams SET head = head + 1"),
    (STREAM_CHECK, "UPDATE streams SET head = head - 1"),
    (STREAM_CHECK, "UPDATE streams SET last_timestamp = last_timestamp + 1"),
    (STREAM_CHECK, "UPDATE streams SET tail = 3"),
    (STREAM_CHECK, "UPDATE events SET timestamp = timestamp - 100000 WHERE seq = 4"),
    (STREAM_CHECK, "UPDATE events SET frame = replace(frame, '\"seq\":4', '\"seq\":44') WHERE seq = 4"),
    (STREAM_CHECK, "UPDATE events SET frame = replace(frame, '\"timestamp\":1', '\"timestamp\":2') WHERE seq = 4"),
    (STREAM_CHECK, "UPDATE events SET frame = '{}' WHERE seq = 4"),
    (SUBMITTED_CHECK, "UPDATE orders SET submitted = 0 WHERE status = 'partially_filled'"),
    (SUBMITTED_CHECK, "UPDATE orders SET submitted = 0 WHERE status = 'canceled'"),
    (SUBMITTED_CHECK, "UPDATE orders SET submitted = 1 WHERE status = 'rejected'"),
    (SUBMITTED_CHECK, "UPDATE orders SET status = 'canceled' WHERE status = 'rejected'"),
    (
        SUBMITTED_CHECK,
        "UPDATE events SET frame = (SELECT frame FROM events e WHERE e.stream_id = events.stream_id "
        "AND frame LIKE '%order_submitted%' LIMIT 1) WHERE frame LIKE '%order_submitted%'",
    ),
]


@pytest.mark.parametrize(("check", "damage"), DAMAGE, ids=[f"{check}-{n}" for n, (check, _) in enumerate(DAMAGE)])
async def test_damage_is_found(sound: Path, tmp_path: Path, check: str, damage: str) -> None:
    path = Path(shutil.copy(sound, tmp_path))
    with sqlite3.connect(path) as connection:
        assert connection.execute(damage).rowcount > 0
    connection.close()

    findings = await findings_in(path)

    assert check in {finding.check for finding in findings}, findings


async def test_a_finding_names_the_user_the_order_and_the_amounts(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sound, tmp_path))
    with sqlite3.connect(path) as connection:
        (order_id,) = connection.execute(
            "SELECT order_id FROM orders JOIN streams USING (stream_id) WHERE status = 'filled' AND user_id = 'alice'"
        ).fetchone()
        connection.execute("UPDATE orders SET filled = 10500000 WHERE order_id = ?", (order_id,))
    connection.close()

    (finding,) = await findings_in(path)

    assert finding.where == f"shop/alice at scripted {order_id}"
    assert finding.what == "filled is 10.5, its fills sum to 10"


async def test_a_trimmed_log_is_sound(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sound, tmp_path))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM events WHERE seq < 9")
        connection.execute("UPDATE streams SET tail = 9")
    connection.close()

    assert await findings_in(path) == []


async def test_a_wholly_trimmed_log_is_sound(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sound, tmp_path))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM events")
        connection.execute("UPDATE streams SET tail = head + 1")
    connection.close()

    assert await findings_in(path) == []


async def test_trading_meanwhile_is_no_finding(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    store = await SqliteStore.open(path, [CORE], exclusive=True)
    venue = ScriptedVenue(SystemClock().now)
    desk, _ = a_desk(store, venue)
    await desk.open_user("shop", "alice")

    async def keep_trading() -> None:
        while True:
            venue.script = ["filled"]
            await desk.place("shop", "alice", an_order(size="0.01"))
            await desk.place("shop", "alice", an_order(size="0.01", price="0.2"))

    trading = asyncio.create_task(keep_trading())
    try:
        for _ in range(10):
            assert await findings_in(path) == []
    finally:
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        await desk.stop(5)
        await store.close()


async def test_progress_goes_through_every_check_once(sound: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(Path(shutil.copy(sound, tmp_path)), [CORE], exclusive=False)
    steps: list[Progress] = []
    try:
        await audit(store, steps.append)
    finally:
        await store.close()

    assert list(dict.fromkeys(step.check for step in steps)) == [name for name in CHECKS if name != SUBMITTED_CHECK]
    assert [(step.done, step.total) for step in steps if step.check == STREAM_CHECK] == [(0, 2), (1, 2)]
