"""What a venue takes back of what it has told: a fill that comes after the cancel, a fill that is undone.

Both are acts of a person on one order, each one unit of work, after which the venue's books are as right as before.
"""

from oddswire.clock import Clock
from oddswire.errors import OperatorError
from oddswire.ids import new_id
from oddswire.money import format_amount
from oddswire.store.base import Store, Tx
from oddswire.venues.paper import book
from oddswire.venues.paper.book import Match, PaperOrder
from oddswire.venues.paper.config import FINEST_SIZE, NO, YES, PaperConfig
from oddswire.venues.paper.floor import FillRow, Floor, MarketRow, house_account


async def late_fill(
    store: Store, config: PaperConfig, clock: Clock, app: str, order_id: str, size: int | None = None
) -> int:
    """Fill a canceled or expired order after all, at its price, against the house; return how much (millionths).

    `order_id` is the venue's id or ours; without a `size` all that was left of the order fills.

    Raises:
        OperatorError: there is no such order, it is not of that kind, or one side has not the means any more.
    """
    found = await _order_id(store, app, order_id)

    def unit(tx: Tx) -> int:
        floor = Floor(tx, config, app, clock.now())
        order = _order(tx, found)
        market = _trading(floor, order)
        state, reason = order.state, order.reason
        if state not in ("canceled", "expired"):
            raise OperatorError("usage", f"Order {order_id} is {state}: only a canceled or expired one fills late.")
        filling = order.remaining if size is None else size
        if not 0 < filling <= order.remaining or filling % FINEST_SIZE:
            left = format_amount(order.remaining)
            raise OperatorError("usage", f"A late fill of {order_id} is a multiple of 0.01 up to {left}.")
        floor.reopen(order)
        other = _against(order, filling, floor.now)
        floor.rest(other, market)
        floor.trade(other, Match(order, filling, order.yes_price), market)
        if order.remaining:
            floor.end(order, state, reason)
        else:
            order.reason = None
        _check_means(floor, order, other)
        floor.leave()
        return filling

    return await store.write(unit)


async def reverse(store: Store, config: PaperConfig, clock: Clock, app: str, order_id: str) -> int:
    """Take the newest fill of an order back, its other side with it; return how much it was (millionths).

    Contracts and money go back to where they came from. An order that rests does so with more left, one that was
    finished is canceled.

    Raises:
        OperatorError: there is no such order or fill, or one side has not what it would have to give back.
    """
    found = await _order_id(store, app, order_id)

    def unit(tx: Tx) -> int:
        floor = Floor(tx, config, app, clock.now())
        order = _order(tx, found)
        market = _trading(floor, order)
        fill = tx.one(FillRow, "paper.newest_fill", found)
        if fill is None or fill.other_fill is None:
            raise OperatorError("usage", f"Order {order_id} has no fill that can be taken back.")
        other_fill = tx.one(FillRow, "paper.fill", fill.other_fill)
        if other_fill is None:
            raise LookupError(f"fill {fill.fill_id} has no other side")
        other = _order(tx, other_fill.order_id)
        market.pairs -= book.new_pairs(order, other, fill.size)
        floor.undo(order, fill)
        floor.undo(other, other_fill)
        house = house_account(order.market_id)
        if house in (order.account, other.account):
            # it may have turned the contracts back into dollars since
            floor.make_pairs(market, house)
        _check_means(floor, order, other)
        floor.leave()
        return fill.size

    return await store.write(unit)


async def _order_id(store: Store, app: str, order_id: str) -> str:
    """Return the venue's id of an order; looked for in a snapshot, as it takes going through the app's orders."""
    found = await store.read(lambda tx: tx.one(str, "paper.order_of_app", app, order_id))
    if found is None:
        raise OperatorError("usage", f"App {app!r} has no order {order_id!r} at the paper venue.")
    return found


def _order(tx: Tx, order_id: str) -> PaperOrder:
    order = tx.one(PaperOrder, "paper.order", order_id)
    if order is None:
        raise LookupError(f"there is no order {order_id}")
    return order


def _trading(floor: Floor, order: PaperOrder) -> MarketRow:
    market = floor.market_row(order.market_id)
    if market.status not in ("open", "paused"):
        raise OperatorError("usage", f"Market {order.market_id} is {market.status}: nothing there can be corrected.")
    return market


def _against(order: PaperOrder, size: int, now: int) -> PaperOrder:
    """Return the house's order that meets a late fill: it buys what the user sells, or else the other outcome."""
    outcome = order.outcome_id if order.side == "sell" else NO if order.outcome_id == YES else YES
    return PaperOrder(
        order_id=new_id("pap", now),
        app=order.app,
        account=house_account(order.market_id),
        ref=None,
        market_id=order.market_id,
        outcome_id=outcome,
        side="buy",
        price=book.own_price(outcome, order.yes_price),
        size=size,
        time_in_force="ioc",
        expires_at=None,
        post_only=0,
        filled=0,
        state="open",
        reason=None,
        is_bid=1 - order.is_bid,
        yes_price=order.yes_price,
        rank=0,
        money_held=0,
        contracts_held=0,
        changed_at=now,
        version=0,
    )


def _check_means(floor: Floor, *orders: PaperOrder) -> None:
    """Raise where a correction would leave somebody below zero: this venue gives no credit, even to itself."""
    for order in orders:
        account = floor.touch(order.account)
        if account.cash < 0:
            raise OperatorError("usage", f"{account.account} lacks {format_amount(-account.cash)} dollars for that.")
        for outcome in (YES, NO):
            free = floor.held(order.market_id, order.account, outcome).free
            if free < 0:
                raise OperatorError("usage", f"{account.account} lacks {format_amount(-free)} {outcome} for that.")
