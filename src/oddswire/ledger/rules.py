"""Which entry books what: the only place that knows how money and contracts move."""

from oddswire import money
from oddswire.events import Side
from oddswire.ledger.entries import (
    CASH,
    FEES,
    FREE,
    HELD,
    OUTSIDE,
    USD,
    VENUE,
    Entry,
    Kind,
    Posting,
    contracts,
    make_entry,
)


def money_hold(side: Side, price: int, size: int, fee: int) -> int:
    """Return what an order of `size` (left) holds in money: for a buy its cost and the most the venue may charge.

    `fee` is millionths of a dollar a contract. A sell pays its fee out of its proceeds and holds only what these
    would not cover.
    """
    fees = money.cost(fee, size)
    if side == "buy":
        return money.cost(price, size) + fees
    return max(0, fees - money.proceeds(price, size))


def contract_hold(side: Side, size: int) -> int:
    """Return how many contracts an order of `size` (left) holds: a sell what it may deliver, a buy none."""
    return size if side == "sell" else 0


def hold(order_id: str, market_id: str, outcome_id: str, usd: int, size: int) -> Entry:
    """Book what a new order holds."""
    return _move("hold", order_id, market_id, outcome_id, usd, size)


def release(order_id: str, market_id: str, outcome_id: str, usd: int, size: int) -> Entry:
    """Book that a finished order holds no longer what it still held."""
    return _move("release", order_id, market_id, outcome_id, -usd, -size)


def _move(kind: Kind, order_id: str, market_id: str, outcome_id: str, usd: int, size: int) -> Entry:
    asset = contracts(market_id, outcome_id)
    return make_entry(
        kind,
        order_id,
        Posting(CASH, USD, -usd),
        Posting(HELD, USD, usd),
        Posting(FREE, asset, -size),
        Posting(HELD, asset, size),
    )


def fill(
    fill_id: str,
    market_id: str,
    outcome_id: str,
    side: Side,
    price: int,
    size: int,
    fee: int,
    money_captured: int,
    contracts_captured: int,
) -> Entry:
    """Book a fill: what the order held of it is captured, the rest of that comes back.

    `money_captured` and `contracts_captured` are by how much the order holds less after this fill. A buy pays the cost
    rounded up, a sell is paid the proceeds rounded down; `fee` is the venue's.
    """
    asset = contracts(market_id, outcome_id)
    paid = money.cost(price, size) if side == "buy" else -money.proceeds(price, size)
    got = size if side == "buy" else -size
    return make_entry(
        "fill",
        fill_id,
        Posting(HELD, USD, -money_captured),
        Posting(CASH, USD, money_captured - paid - fee),
        Posting(VENUE, USD, paid),
        Posting(FEES, USD, fee),
        Posting(HELD, asset, -contracts_captured),
        Posting(FREE, asset, contracts_captured + got),
        Posting(VENUE, asset, -got),
    )


def reversal(
    fill_id: str,
    market_id: str,
    outcome_id: str,
    side: Side,
    price: int,
    size: int,
    fee: int,
    money_held: int,
    contracts_held: int,
) -> Entry:
    """Book that the venue undid a fill; what the order holds again (0 where it is finished) is held anew."""
    undone = fill(fill_id, market_id, outcome_id, side, price, size, fee, money_held, contracts_held)
    return make_entry("reversal", fill_id, *(line._replace(amount=-line.amount) for line in undone.postings))


def transfer(reference: str, amount: int) -> Entry:
    """Book money that came (above 0) or went without an order."""
    return make_entry("transfer", reference, Posting(OUTSIDE, USD, -amount), Posting(CASH, USD, amount))


def correction(reference: str, amount: int) -> Entry:
    """Book a difference between the venue's wallet and ours that nothing else explains."""
    return make_entry("correction", reference, Posting(OUTSIDE, USD, -amount), Posting(CASH, USD, amount))


def settlement(reference: str, payout: int, gone: list[tuple[str, int, int]]) -> Entry:
    """Book a market's end: the contracts `gone` (asset, free, held) and the payout in millionths of a dollar."""
    lines = [Posting(VENUE, USD, -payout), Posting(CASH, USD, payout)]
    for asset, free, held in gone:
        lines += [Posting(FREE, asset, -free), Posting(HELD, asset, -held), Posting(VENUE, asset, free + held)]
    return make_entry("settlement", reference, *lines)
