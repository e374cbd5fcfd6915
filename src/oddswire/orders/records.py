"""How orders, books and entries are kept: reading and writing their rows inside a unit of work."""

from dataclasses import astuple, dataclass
from typing import NamedTuple

from oddswire.ledger.books import Balance, Books, Holding
from oddswire.ledger.entries import contracts
from oddswire.orders.checks import Listing
from oddswire.orders.order import Order
from oddswire.orders.telling import Telling
from oddswire.store.base import Tx
from oddswire.streams import log
from oddswire.streams.log import Stream
from oddswire.venues.base import Market


class KnownFill(NamedTuple):
    """A fill we have booked."""

    venue_fill_id: str
    fill_id: str
    reversed: int


@dataclass(slots=True)
class Opened:
    """A user's stream and books at one venue, opened in a unit of work."""

    stream: Stream
    books: Books
    cursor: int | None


def open_books(tx: Tx, stream: Stream, venue: str) -> Opened:
    """Return the balance and the cursor of a user at a venue, zero where there is no account yet."""
    balance = tx.one(Balance, "ledger.balance", stream.stream_id, venue) or Balance()
    cursor = tx.one(_cursor, "ledger.cursor", stream.stream_id, venue)
    return Opened(stream, Books(balance), cursor)


def open_holding(tx: Tx, opened: Opened, venue: str, market_id: str, outcome_id: str) -> Holding:
    """Return one holding, read into the books."""
    asset = contracts(market_id, outcome_id)
    if asset not in opened.books.holdings:
        row = tx.one(Holding, "ledger.holding", opened.stream.stream_id, venue, market_id, outcome_id)
        if row is not None:
            opened.books.holdings[asset] = row
    return opened.books.holding(market_id, outcome_id)


def open_market_holdings(tx: Tx, opened: Opened, venue: str, market_id: str) -> None:
    """Read every holding of a market into the books."""
    for row in tx.all(Holding, "ledger.holdings_of_market", opened.stream.stream_id, venue, market_id):
        opened.books.holdings.setdefault(contracts(row.market_id, row.outcome_id), row)


def save(tx: Tx, history_id: str, opened: Opened, telling: Telling) -> None:
    """Store what a telling changed, append its events and ring."""
    stream_id, venue, books = opened.stream.stream_id, telling.venue, telling.books
    for entry in books.entries:
        tx.run("ledger.insert_entry", entry.entry_id, stream_id, venue, entry.kind, entry.reference, telling.timestamp)
        for line, posting in enumerate(entry.postings):
            tx.run("ledger.insert_posting", entry.entry_id, line, *posting)
    balance = books.balance
    tx.run(
        "ledger.save_balance",
        *(stream_id, venue, balance.cash, balance.held, balance.untold, balance.timestamp, balance.seq),
    )
    for holding in books.touched.values():
        tx.run("ledger.save_holding", stream_id, venue, *astuple(holding))
    for order in telling.orders.values():
        save_order(tx, order)
    for fill in telling.fills:
        tx.run("orders.insert_fill", *astuple(fill))
    log.append(tx, history_id, opened.stream, telling.events)


def save_order(tx: Tx, order: Order) -> None:
    """Insert an order, or store what may change of it."""
    tx.run(
        "orders.save",
        *(order.order_id, order.stream_id, order.venue, order.market_id, order.outcome_id, order.side, order.price),
        *(order.size, order.time_in_force, order.expires_at, order.post_only, order.fee, order.client_order_id),
        *(order.origin, order.status, order.filled, order.money_held, order.contracts_held, order.venue_order_id),
        *(order.submitted, order.cancel_wanted, order.error_reason, order.mark_node, order.mark_deadline),
        *(order.created_at, order.timestamp, order.seq, order.session_id),
    )


def order_by_id(tx: Tx, order_id: str) -> Order | None:
    """Return the order of that id, whoever's it is."""
    return tx.one(Order, "orders.by_id", order_id)


def has_entry(tx: Tx, entry_id: str) -> bool:
    """Tell whether that fact has been booked."""
    return tx.one(int, "ledger.has_entry", entry_id) is not None


def listing(tx: Tx, app_id: str, venue: str, market_id: str) -> Listing | None:
    """Return a market as its venue last told of it."""
    return tx.one(Listing, "ledger.market", app_id, venue, market_id)


def save_listing(tx: Tx, app_id: str, venue: str, market: Market) -> None:
    """Store what a venue told of a market."""
    tx.run(
        "ledger.save_market",
        *(app_id, venue, market.market_id, market.status, market.tick, market.size_step, market.min_size),
        *(market.max_size, market.fee, " ".join(outcome.outcome_id for outcome in market.outcomes)),
    )


def _cursor(value: int | None) -> int | None:
    return value
