"""What a person may do to the paper venue from outside: deposit, pause, resolve; each may be repeated after a crash."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from oddswire.clock import Clock
from oddswire.errors import OperatorError
from oddswire.ids import new_id
from oddswire.store.base import Store, Tx
from oddswire.venues.base import MarketStatus
from oddswire.venues.paper import units
from oddswire.venues.paper.config import NO, YES, PaperConfig
from oddswire.venues.paper.floor import Floor, MarketRow, user_account

MOST_MONEY = 10**15
"""What an account may hold, in millionths of a dollar: sums over a great many accounts stay within 64 bits."""


class Unresolved(NamedTuple):
    """A market whose resolution has begun and is not finished."""

    app: str
    market_id: str


async def deposit(store: Store, config: PaperConfig, clock: Clock, app: str, user: str, amount: int) -> None:
    """Give a user `amount` millionths of a dollar, or take them where it is below 0.

    Raises:
        OperatorError: there is no such account, it has not that much to take, or would have over a billion dollars.
    """

    def unit(tx: Tx) -> None:
        now = clock.now()
        floor = Floor(tx, config, app, now)
        account = floor.account(user_account(user))
        if account is None:
            raise OperatorError("usage", f"User {user!r} of app {app!r} has no account yet: sign in once.")
        if account.cash + amount > MOST_MONEY:
            raise OperatorError("usage", "An account at the paper venue holds a billion dollars at the most.")
        if account.cash + amount < 0:
            raise OperatorError("usage", f"User {user!r} has less than that to withdraw.")
        floor.deposit(account.account, new_id("ptr", now), amount)
        floor.leave()

    await store.write(unit)


async def set_status(
    store: Store, config: PaperConfig, clock: Clock, app: str, market_id: str, status: Literal["open", "paused"]
) -> None:
    """Pause a market (it takes cancels only) or open it again.

    Raises:
        OperatorError: there is no such market, or it has been resolved.
    """

    def unit(tx: Tx) -> None:
        _change(tx, config, clock, app, market_id, status, None)

    await store.write(unit)


async def resolve(
    store: Store,
    config: PaperConfig,
    clock: Clock,
    app: str,
    market_id: str,
    winner: str,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Close a market and pay one dollar for each contract of `winner`; return how many accounts were settled.

    One account a unit: a crash in the middle leaves the rest to the next call, or to a running venue. `progress` is
    told how many are done.

    Raises:
        OperatorError: there is no such market or outcome, or the other one has won.
    """
    if winner not in (YES, NO):
        raise OperatorError("usage", "The outcomes are yes and no.")

    def unit(tx: Tx) -> None:
        _change(tx, config, clock, app, market_id, "closed", winner)

    await store.write(unit)
    return await finish_resolution(store, config, clock, Unresolved(app, market_id), progress)


async def finish_resolution(
    store: Store,
    config: PaperConfig,
    clock: Clock,
    market: Unresolved,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Settle the accounts that are left in a closed market, then call it settled."""
    done = 0
    while accounts := await store.read(lambda tx: tx.all(str, "paper.in_market", *market)):
        for account in accounts:
            await store.write(_settle_one(config, clock, market, account))
            done += 1
            if progress is not None:
                progress(done)

    def unit(tx: Tx) -> None:
        _save_status(Floor(tx, config, market.app, clock.now()), market.market_id, "settled", None)

    await store.write(unit)
    return done


def _settle_one(config: PaperConfig, clock: Clock, market: Unresolved, account: str) -> Callable[[Tx], None]:
    return lambda tx: units.settle(tx, config, market.app, market.market_id, account, clock.now())


def _change(
    tx: Tx, config: PaperConfig, clock: Clock, app: str, market_id: str, status: MarketStatus, winner: str | None
) -> None:
    spec = config.markets.get(market_id)
    if spec is None:
        raise OperatorError("usage", f"There is no market {market_id!r}.")
    row = tx.one(MarketRow, "paper.market", app, market_id)
    if row is not None and row.winner not in (None, winner):
        raise OperatorError("usage", f"Market {market_id} has been resolved: {row.winner} won.")
    if row is not None and row.winner is not None and status != "closed":
        raise OperatorError("usage", f"Market {market_id} has been resolved.")
    if row is None or row.status != "settled":
        floor = Floor(tx, config, app, clock.now())
        floor.market(spec)
        _save_status(floor, market_id, status, winner)


def _save_status(floor: Floor, market_id: str, status: MarketStatus, winner: str | None) -> None:
    market = floor.market_row(market_id)
    changed = market.status != status
    if changed:
        market.status = status
        market.winner = winner or market.winner
    # also where the status stays: the market may have been made by this very unit
    floor.leave()
    if changed:
        floor.tx.run("paper.insert_report", floor.app, "", 0)
