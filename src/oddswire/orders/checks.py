"""What we deny before anything is stored or sent: pure rules over an order, its market and the user's books."""

from collections.abc import Iterable
from typing import NamedTuple

from oddswire import money
from oddswire.errors import Denied
from oddswire.ledger import rules
from oddswire.ledger.books import Balance, Holding
from oddswire.money import format_amount
from oddswire.orders.order import Order


class Listing(NamedTuple):
    """A market as its venue last told of it; steps and sizes in millionths, `outcomes` with a space between."""

    market_id: str
    status: str
    tick: int
    size_step: int
    min_size: int
    max_size: int
    fee: int
    outcomes: str


def check_venue(venue: str, known: Iterable[str], path: str) -> None:
    """Check that there is such a venue; `path` is where it was named.

    Raises:
        Denied: `unknown_venue`, naming those there are.
    """
    names = sorted(known)
    if venue not in names:
        raise Denied("unknown_venue", f"There is no venue {venue[:100]!r} here, only {', '.join(names)}.", path=path)


def check_order(order: Order, market: Listing, now: int) -> None:
    """Check an order against its market at `now` (ms).

    Raises:
        Denied: with the documented code and the path of the field that is at fault.
    """
    if order.outcome_id not in market.outcomes.split():
        raise Denied(
            "unknown_outcome",
            f"Market {market.market_id} has the outcomes {market.outcomes.replace(' ', ', ')}.",
            path="$.outcomeId",
        )
    if market.status != "open":
        raise Denied("market_closed", f"Market {market.market_id} is {market.status}.", path="$.marketId")
    _check_price(order.price, market)
    _check_size(order.size, market)
    if (order.time_in_force == "gtd") != (order.expires_at is not None):
        raise Denied("expiry_invalid", "`expiresAt` goes with `gtd`, and only with it.", path="$.expiresAt")
    if order.expires_at is not None and order.expires_at <= now:
        raise Denied("expiry_invalid", f"`expiresAt` is not after now, {now}.", path="$.expiresAt")
    if order.post_only and order.time_in_force not in ("gtc", "gtd"):
        raise Denied("post_only_invalid", f"An order that is {order.time_in_force} never rests.", path="$.postOnly")


def check_means(order: Order, balance: Balance, holding: Holding) -> None:
    """Check that the user has what the order would hold; holds of pending orders count.

    Raises:
        Denied: `insufficient_funds`, `insufficient_holdings`, or `venue_correction` below zero.
    """
    if balance.cash < 0 or holding.free < 0:
        raise Denied("venue_correction", f"{order.venue} has taken back more than is left; new orders wait for it.")
    needed = rules.money_hold(order.side, order.price, order.size, order.fee)
    if needed > balance.cash:
        raise Denied(
            "insufficient_funds",
            f"The order needs {format_amount(needed)} dollars; {format_amount(balance.cash)} can be spent.",
            path="$.size",
        )
    wanted = rules.contract_hold(order.side, order.size)
    if wanted > holding.free:
        raise Denied(
            "insufficient_holdings",
            f"The order sells {format_amount(wanted)} contracts; {format_amount(holding.free)} can be sold.",
            path="$.size",
        )


def _check_price(price: int, market: Listing) -> None:
    if not 0 < price < money.ONE:
        raise Denied("price_out_of_range", "A price is above 0 and below 1.", path="$.price")
    if price % market.tick:
        raise Denied("price_off_tick", f"Prices here are multiples of {format_amount(market.tick)}.", path="$.price")


def _check_size(size: int, market: Listing) -> None:
    if size < market.min_size:
        raise Denied("size_too_small", f"The least here is {format_amount(market.min_size)}.", path="$.size")
    if size > market.max_size:
        raise Denied("size_too_large", f"The most here is {format_amount(market.max_size)}.", path="$.size")
    if size % market.size_step:
        raise Denied("size_off_step", f"Sizes here are multiples of {format_amount(market.size_step)}.", path="$.size")
