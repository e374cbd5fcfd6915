"""A venue that misbehaves in every way it can be told to: our books end as the venue's, each thing told once."""

import asyncio
import contextlib
import itertools
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from oddswire import events
from oddswire.cli.check import findings_of
from oddswire.clock import SystemClock
from oddswire.config import Settings
from oddswire.errors import Conflict, Denied, OperatorError
from oddswire.events import BalanceUpdate, HoldingUpdate, OrderEvent, OrderSubmitted, UserEvent
from oddswire.orders import desk, reconcile
from oddswire.orders.views import View
from oddswire.server.app import Gateway, open_gateway
from oddswire.store.base import Tx
from oddswire.streams import log
from oddswire.venues.base import Account, Evidence, OrderRequest
from oddswire.venues.paper import PaperConfig, corrections, paper_config
from oddswire.venues.paper.acts import deposit, resolve, set_status
from oddswire.venues.paper.faults import Fault, set_fault
from oddswire.wire import bodies

APP = "app"
USERS = ("ann", "bob", "cy")
OUTCOMES = ("yes", "no")
MARKETS = ("fed-cut-dec", "btc-150k-year-end")
CORRECTIONS = ("late-fill", "reverse")
STANDING = {
    "delay": Fault("delay", None, 30),
    "no-answer": Fault("no-answer-place", None, 0),
    "no-answer-cancel": Fault("no-answer-cancel", None, 0),
    "duplicate": Fault("duplicate", None, 0),
    "reorder": Fault("reorder", None, 0),
}
FAULTS = (*STANDING, *CORRECTIONS, "pause")
DENIALS = {"insufficient_holdings", "insufficient_funds", "market_closed", "venue_correction"}
LEVEL_SECONDS = 20


@dataclass
class Play:
    """A gateway whose venue has these faults, and a seeded chance that all of it is up to."""

    gateway: Gateway
    config: PaperConfig
    faults: tuple[str, ...]
    chance: random.Random
    sent: Counter[str] = field(default_factory=Counter)
    corrected: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    clock: SystemClock = field(default_factory=SystemClock)

    async def act(self, user: str) -> None:
        what = self.chance.random()
        if what < 0.6:
            await self.place(user)
        elif what < 0.8:
            await self.cancel(user)
        elif what < 0.85:
            await deposit(self.gateway.store, self.config, self.clock, APP, user, self.chance.randint(1, 9) * 12_345)
        elif "pause" in self.faults and what < 0.9:
            status: Literal["open", "paused"] = "paused" if self.chance.random() < 0.4 else "open"
            await set_status(self.gateway.store, self.config, self.clock, APP, MARKETS[0], status)
        else:
            await self.correct(user)

    async def place(self, user: str) -> None:
        wanted = {
            "venue": "paper",
            "marketId": self.chance.choice(MARKETS),
            "outcomeId": self.chance.choice(OUTCOMES),
            "side": self.chance.choice(("buy", "buy", "sell")),
            "price": self.chance.randint(44, 56) / 100,
            "size": self.chance.randint(1, 3000) / 100,
            "timeInForce": self.chance.choice(("gtc", "gtc", "gtc", "ioc", "fok")),
        }
        if self.chance.random() < 0.1:
            wanted |= {"timeInForce": "gtd", "expiresAt": self.clock.now() + self.chance.randint(20, 600)}
        try:
            await self.gateway.desk.place(
                APP, user, msgspec.json.decode(msgspec.json.encode(wanted), type=bodies.PlaceOrder)
            )
        except Denied as said:
            self.denied[said.code] += 1

    async def cancel(self, user: str) -> None:
        orders = await self.look(user, lambda view: _orders(view))
        live = [order.order_id for order in orders if order.status in ("open", "partially_filled", "unconfirmed")]
        if live:
            # it may have finished meanwhile
            with contextlib.suppress(Conflict):
                await self.gateway.desk.cancel(APP, user, self.chance.choice(live))

    async def correct(self, user: str) -> None:
        orders = await self.look(user, lambda view: _orders(view))
        store, chance = self.gateway.store, self.chance
        if "late-fill" in self.faults:
            ended = [order for order in orders if order.status in ("canceled", "expired")]
            for order in chance.sample(ended, min(2, len(ended))):
                size = chance.choice((None, 10_000))
                await self.try_to(
                    "late-fill", corrections.late_fill(store, self.config, self.clock, APP, order.order_id, size)
                )
        if "reverse" in self.faults:
            filled = [order for order in orders if int(order.filled_amount_raw)]
            for order in chance.sample(filled, min(2, len(filled))):
                await self.try_to("reverse", corrections.reverse(store, self.config, self.clock, APP, order.order_id))

    async def try_to(self, what: str, correct: Awaitable[int]) -> None:
        try:
            await correct
            self.corrected[what] += 1
        except OperatorError:
            # somebody has not the means, or the order has gone on: the books stay as they are
            self.corrected["refused"] += 1

    async def look(self, user: str, look: Callable[[View], Any]) -> Any:
        store = self.gateway.store
        return await store.read(lambda tx: look(View(tx, store.history_id, APP, user)))


@asynccontextmanager
async def playing(
    path: Path, faults: tuple[str, ...], chance: random.Random, sent: Counter[str], fee: str = "0"
) -> AsyncIterator[Play]:
    settings = Settings(order_answer_seconds=1, drain_seconds=0, paper_fee=fee)
    gateway = await open_gateway(settings, path, dev=False)
    config = paper_config(settings)
    play = Play(gateway, config, faults, chance, sent)
    placing = gateway.paper.place

    async def counted(account: Account, request: OrderRequest) -> Evidence:
        sent[request.ref] += 1
        return await placing(account, request)

    gateway.paper.place = counted  # type: ignore[method-assign]
    for fault in faults:
        if fault in STANDING:
            await set_fault(gateway.store, STANDING[fault])
    await gateway.start()
    await gateway.paper.faults.refresh()
    for user in USERS:
        await gateway.desk.open_user(APP, user)
    try:
        yield play
    finally:
        await gateway.close()


async def trade(play: Play, acts: int) -> None:
    async def keep(user: str) -> None:
        for _ in range(acts):
            await play.act(user)

    async def end() -> None:
        if play.chance.random() < 0.5:
            await resolve(play.gateway.store, play.config, play.clock, APP, MARKETS[1], play.chance.choice(OUTCOMES))

    # two hands a user: what one does is answered while the other waits
    await asyncio.gather(*(keep(user) for user in USERS * 2))
    await asyncio.gather(end(), *(keep(user) for user in USERS))
    async with asyncio.timeout(LEVEL_SECONDS):
        while not all(play.corrected[fault] for fault in play.faults if fault in CORRECTIONS):
            await play.act(play.chance.choice(USERS))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again soon, and let what was not sent be final soon; no sweep may be what mends it."""
    monkeypatch.setattr(reconcile, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(reconcile, "SWEEP_SECONDS", 3600)
    monkeypatch.setattr(desk, "SEND_WINDOW", 1_000)


def pairs(count: int) -> list[Any]:
    chosen = random.Random(7).sample(list(itertools.combinations(FAULTS, 2)), count)
    return [pytest.param(pair, seed, id=f"{' and '.join(pair)}") for seed, pair in enumerate(chosen)]


@pytest.mark.parametrize(
    ("faults", "seed"), [*[pytest.param((fault,), 100, id=fault) for fault in FAULTS], *pairs(8), (FAULTS, 3)]
)
async def test_our_books_end_as_the_venue_s(tmp_path: Path, faults: tuple[str, ...], seed: int) -> None:
    chance, path, sent = random.Random(seed), tmp_path / "oddswire.db", Counter[str]()
    async with playing(path, faults, chance, sent, fee=chance.choice(("0", "0.02"))) as play:
        await trade(play, 10)
        await check(play, path)


@pytest.mark.parametrize("seed", range(2))
async def test_a_gateway_that_stops_in_the_middle_of_it_starts_into_the_same_books(tmp_path: Path, seed: int) -> None:
    chance, path, sent = random.Random(seed), tmp_path / "oddswire.db", Counter[str]()
    async with playing(path, FAULTS, chance, sent) as play:
        trading = asyncio.create_task(trade(play, 1_000))
        async with asyncio.timeout(LEVEL_SECONDS):
            while len(sent) < 30:
                await asyncio.sleep(0.005)
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        # what is on its way is never heard of here again
        await play.gateway.dispatch.stop()
        await play.gateway.drain()
    async with playing(path, FAULTS, chance, sent) as play:
        await trade(play, 6)
        await check(play, path)


async def check(play: Play, path: Path) -> None:
    """Wait until all is level, and compare everything that may be compared."""
    await is_level(path)
    for user in USERS:
        await check_user(play, user)
    assert set(play.denied) <= DENIALS
    assert set(play.sent.values()) == {1}
    assert await findings_of(path) == []
    check_books(path)


async def is_level(path: Path) -> None:
    """Wait until nothing is on its way: all orders heard of, all wishes to cancel done, all accounts read."""
    with closing(sqlite3.connect(path)) as connection:
        async with asyncio.timeout(LEVEL_SECONDS):
            while any(connection.execute(sql).fetchone()[0] for sql in WAITING):
                await asyncio.sleep(0.02)


WAITING = (
    "SELECT COUNT(*) FROM orders WHERE status IN ('pending', 'unconfirmed') OR cancel_wanted = 1",
    "SELECT COUNT(*) FROM paper_orders WHERE state = 'open' AND expires_at IS NOT NULL",
    "SELECT COUNT(*) FROM paper_accounts a JOIN streams s ON a.account = 'user/' || s.user_id AND a.app = s.app_id "
    "LEFT JOIN balances b ON b.stream_id = s.stream_id WHERE a.version <> COALESCE(b.cursor, 0)",
)


async def check_user(play: Play, user: str) -> None:
    def unit(tx: Tx) -> tuple[list[UserEvent], dict[tuple[str, ...], Any]]:
        stream = log.find(tx, APP, user)
        assert stream is not None
        told, after = [], 0
        while frames := log.page(tx, stream.stream_id, after).frames:
            told += [events.decode(frame) for frame in frames]
            after = told[-1].seq
        return told, state_of(View(tx, play.gateway.store.history_id, APP, user))

    told, state = await play.gateway.store.read(unit)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert fold(told) == state
    submitted = Counter(event.order_id for event in told if isinstance(event, OrderSubmitted))
    assert set(submitted.values()) <= {1}


def state_of(view: View) -> dict[tuple[str, ...], Any]:
    """What REST tells, as rows."""
    state: dict[tuple[str, ...], Any] = {}
    for balance in view.balances(None).balances:
        state["balance",] = balance.trading_balance_raw, balance.wallet_balance_raw, balance.seq
    for row in view.holdings(None).holdings:
        state["holding", row.market_id, row.outcome_id] = row.size, row.available, row.average_price, row.seq
    for order in _orders(view):
        state["order", order.order_id] = order.status, order.filled_amount_raw, order.seq
    fills = _pages(lambda cursor: view.fills(order_id=None, venue=None, cursor=cursor, limit=100))
    total = Counter[str]()
    for fill in fills:
        total[fill.order_id] += 0 if fill.reversed else int(fill.size * 1_000_000)
    for order_id, size in total.items():
        state["filled", order_id] = str(size)
    return state


def fold(told: list[UserEvent]) -> dict[tuple[str, ...], Any]:
    """What somebody holds who has heard every event and nothing else."""
    state: dict[tuple[str, ...], Any] = {}
    total: dict[str, Decimal] = {}
    for event in told:
        match event:
            case BalanceUpdate():
                state["balance",] = event.trading_balance_raw, event.wallet_balance_raw, event.seq
            case HoldingUpdate():
                key = ("holding", event.market_id, event.outcome_id)
                state[key] = event.size, event.available, event.average_price, event.seq
                if not event.size:
                    del state[key]
            case OrderSubmitted():
                state["order", event.order_id] = "open", "0", event.seq
            case OrderEvent():
                state["order", event.order_id] = event.status, event.filled_amount_raw, event.seq
                if isinstance(event.fill_size, Decimal):
                    sign = -1 if event.event == "reversed" else 1
                    total[event.order_id] = total.get(event.order_id, Decimal(0)) + sign * event.fill_size
            case _:
                pass
    for order_id, size in total.items():
        state["filled", order_id] = str(int(size * 1_000_000))
    return state


def _orders(view: View) -> list[bodies.Order]:
    def page(cursor: str | None) -> bodies.Orders:
        return view.orders(statuses=frozenset(), venue=None, client_order_id=None, cursor=cursor, limit=100)

    return _pages(page)


def _pages(page: Callable[[str | None], Any]) -> list[Any]:
    found, cursor = [], None
    while True:
        answer = page(cursor)
        found += answer.data
        cursor = answer.next_cursor
        if cursor is None:
            return found


SAME = {
    "money": (
        "SELECT s.user_id, b.cash, b.held FROM balances b JOIN streams s USING (stream_id)",
        "SELECT SUBSTR(account, 6), cash, held FROM paper_accounts WHERE account LIKE 'user/%'",
    ),
    "contracts": (
        "SELECT s.user_id, h.market_id, h.outcome_id, h.free, h.held FROM holdings h JOIN streams s USING (stream_id) "
        "WHERE h.free <> 0 OR h.held <> 0",
        "SELECT SUBSTR(account, 6), market_id, outcome_id, free, held FROM paper_holdings "
        "WHERE account LIKE 'user/%' AND (free <> 0 OR held <> 0)",
    ),
    "orders": (
        "SELECT order_id, REPLACE(status, 'partially_filled', 'open'), filled, money_held, contracts_held FROM orders "
        "WHERE status <> 'rejected'",
        "SELECT ref, state, filled, money_held, contracts_held FROM paper_orders WHERE ref IS NOT NULL",
    ),
    "fills": (
        "SELECT venue_fill_id, price, size, fee, reversed FROM fills",
        "SELECT fill_id, price, size, fee, reversed FROM paper_fills WHERE account LIKE 'user/%'",
    ),
    "entries": (
        "SELECT kind, COUNT(*) FROM entries WHERE kind NOT IN ('hold', 'release') GROUP BY kind",
        "SELECT * FROM (SELECT 'fill', COUNT(*) AS n FROM paper_fills WHERE account LIKE 'user/%' "
        "UNION ALL SELECT 'reversal', COUNT(*) FROM paper_fills WHERE account LIKE 'user/%' AND reversed = 1 "
        "UNION ALL SELECT 'transfer', COUNT(*) FROM paper_transfers WHERE account LIKE 'user/%' "
        "UNION ALL SELECT 'settlement', COUNT(*) FROM paper_settlements WHERE account LIKE 'user/%') WHERE n > 0",
    ),
}
"""What we have, and what the venue has: the same rows."""


def check_books(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for name, (ours, theirs) in SAME.items():
            mine, its = (sorted(connection.execute(sql).fetchall()) for sql in (ours, theirs))
            assert mine == its, name
            assert mine or name == "contracts", f"there is nothing to compare: {name}"
