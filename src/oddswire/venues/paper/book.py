"""The book of one market: pure rules of price, time and collateral.

There is one book, of YES. Buying YES at p and selling NO at 1 - p are bids at p; selling YES at p and buying NO at
1 - p are asks at p. Two buyers mint a pair of YES and NO for one dollar, two sellers burn one, otherwise contracts
change hands.
"""

from collections.abc import Iterable

from msgspec import Struct

from oddswire.events import Side
from oddswire.money import ONE
from oddswire.venues.base import ReportState, TimeInForce
from oddswire.venues.paper.config import NO, MarketSpec, PaperConfig

MOST_MATCHES = 500
"""How many resting orders one order may take, so that no request holds the book for long."""


class PaperOrder(Struct):
    """An order at the venue, its fields in the order of its row; amounts in millionths."""

    order_id: str
    app: str
    account: str
    ref: str | None
    market_id: str
    outcome_id: str
    side: Side
    price: int
    size: int
    time_in_force: TimeInForce
    expires_at: int | None
    post_only: int
    filled: int
    state: ReportState
    reason: str | None
    is_bid: int
    yes_price: int
    rank: int
    money_held: int
    contracts_held: int
    changed_at: int
    version: int

    @property
    def remaining(self) -> int:
        """What has not been filled."""
        return self.size - self.filled


class Match(Struct, frozen=True):
    """So much of a resting order is taken, at its price of YES."""

    maker: PaperOrder
    size: int
    yes_price: int


class Matching(Struct, frozen=True):
    """What an incoming order meets, best first; `met_itself` where it stopped before an order of its own account."""

    matches: tuple[Match, ...]
    met_itself: bool

    @property
    def size(self) -> int:
        """How much of it fills."""
        return sum(match.size for match in self.matches)


def place_in_book(outcome_id: str, side: Side, price: int) -> tuple[int, int]:
    """Return whether an order is a bid (1) or an ask (0) of the one book, and its price of YES."""
    is_no = outcome_id == NO
    return int((side == "buy") != is_no), ONE - price if is_no else price


def own_price(outcome_id: str, yes_price: int) -> int:
    """Return a price of YES as a price of the named outcome."""
    return ONE - yes_price if outcome_id == NO else yes_price


def match(taker: PaperOrder, resting: Iterable[PaperOrder], now: int) -> Matching:
    """Match an order against the other side, given best price first and oldest first; the maker's price counts.

    Orders that are due to expire are passed over. Matching stops before an order of the same account: the rest of the
    incoming one is to be canceled then, as real venues do; so is what would be left after `MOST_MATCHES`.
    """
    matches: list[Match] = []
    left = taker.remaining
    for maker in resting:
        if not left or not crosses(taker, maker.yes_price):
            break
        if maker.expires_at is not None and maker.expires_at <= now:
            continue
        if maker.account == taker.account:
            return Matching(tuple(matches), True)
        if len(matches) == MOST_MATCHES:
            break
        size = min(left, maker.remaining)
        matches.append(Match(maker, size, maker.yes_price))
        left -= size
    return Matching(tuple(matches), False)


def crosses(order: PaperOrder, yes_price: int) -> bool:
    """Tell whether an order would trade with a resting one at that price of YES."""
    return order.yes_price >= yes_price if order.is_bid else order.yes_price <= yes_price


def new_pairs(taker: PaperOrder, maker: PaperOrder, size: int) -> int:
    """Return how many pairs of YES and NO a match makes (above 0) or unmakes."""
    if taker.side == maker.side:
        return size if taker.side == "buy" else -size
    return 0


def holds(order: PaperOrder, fee: int) -> tuple[int, int]:
    """Return what an order with something left holds: money and contracts; `fee` is the most a contract may cost.

    A sell pays its fee out of its proceeds, and holds what these would not cover.
    """
    if order.side == "buy":
        return exact(order.price + fee, order.remaining), 0
    return exact(max(0, fee - order.price), order.remaining), order.remaining


def exact(price: int, size: int) -> int:
    """Return price times size in millionths of a dollar.

    Raises:
        ArithmeticError: it is not whole, which no tick and step of a checked catalogue allow.
    """
    whole, rest = divmod(price * size, ONE)
    if rest:
        raise ArithmeticError(f"{price} times {size} is not whole millionths")
    return whole


def house_ladder(spec: MarketSpec, config: PaperConfig, reference: int) -> list[tuple[int, int]]:
    """Return what the house wants to quote around a reference: (is_bid, price of YES), nearest first."""
    ladder = []
    for level in range(1, config.house_levels + 1):
        for is_bid, price in ((1, reference - level * spec.tick), (0, reference + level * spec.tick)):
            if 0 < price < ONE:
                ladder.append((is_bid, price))
    return ladder


def shifted(spec: MarketSpec, reference: int, taker_is_bid: int, levels: int) -> int:
    """Return the reference after so many of the house's levels were consumed: it follows the takers, within 0 and 1."""
    moved = reference + (spec.tick if taker_is_bid else -spec.tick) * levels
    return min(max(moved, spec.tick), ONE - spec.tick)
