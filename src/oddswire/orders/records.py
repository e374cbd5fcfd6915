"""How orders, books and entries are kept: reading and writing their rows inside a unit of work."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from oddswire.events import Side
from oddswire.ledger.books import Balance, Books, Holding, Trade
from oddswire.ledger.entries import Entry, contracts
from oddswire.orders.checks import Listing
from oddswire.orders.order import Order
from oddswire.orders.telling import Fill, Telling
from oddswire.store.base import SqlValue, Tx
from oddswire.streams import log
from oddswire.streams.log import Stream
from oddswire.venues.base import Account, Market

_Row = Callable[[Any], tuple[SqlValue, ...]]
_ORDER: _Row = attrgetter(*Order.__struct_fields__)
_ORDER_CHANGE: _Row = attrgetter(
    *("order_id", "status", "filled", "money_held", "contracts_held", "venue_order_id", "submitted", "cancel_wanted"),
    *("error_reason", "timestamp", "seq"),
)
_FILL: _Row = attrgetter(*Fill.__struct_fields__)
_HOLDING: _Row = attrgetter(*Holding.__struct_fields__)


class KnownFill(NamedTuple):
    """A fill we have booked."""

    venue_fill_id: str
    fill_id: str
    reversed: int


class _Traded(NamedTuple):
    fill_id: str
    reversed: int
    side: Side
    price: int
    size: int


class Opened(Struct):
    """A user's stream and books at one venue, opened in a unit of work."""

    stream: Stream
    books: Books
    cursor: int | None


def open_user(tx: Tx, account: Account, venue: str, now: int) -> Opened:
    """Open a user's books at a venue, zero where there is no account yet; the stream is made at `now` if need be."""
    opened = tx.one(_opened, "ledger.open", account.app, account.user, venue)
    return opened or Opened(log.open_stream(tx, account.app, account.user, now), Books(Balance()), None)


def open_books(tx: Tx, stream: Stream, venue: str) -> Opened:
    """Open the books at a venue of the user whose stream it is."""
    balance, cursor = account(tx, stream.stream_id, venue)
    return Opened(stream, Books(balance), cursor)


def account(tx: Tx, stream_id: int, venue: str) -> tuple[Balance, int | None]:
    """Return a user's balance at a venue and how far we know the account there, None where there is none yet."""
    return tx.one(_account, "ledger.account", stream_id, venue) or (Balance(), None)


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
        _save_postings(tx, entry)
    balance = books.balance
    tx.run(
        "ledger.save_balance",
        *(stream_id, venue, balance.cash, balance.held, balance.untold, balance.timestamp, balance.seq, opened.cursor),
    )
    for holding in books.touched.values():
        tx.run("ledger.save_holding", stream_id, venue, *_HOLDING(holding))
    for order in telling.orders.values():
        if order.order_id in telling.new:
            tx.run("orders.insert", *_ORDER(order))
        else:
            tx.run("orders.update", *_ORDER_CHANGE(order))
    for fill in telling.fills:
        tx.run("orders.insert_fill", *_FILL(fill))
    log.append(tx, history_id, opened.stream, telling.events)


def _save_postings(tx: Tx, entry: Entry) -> None:
    """Store the lines of an entry, two a statement: most entries have two."""
    lines = [(line, *posting) for line, posting in enumerate(entry.postings)]
    for one, other in zip(lines[::2], lines[1::2], strict=False):
        tx.run("ledger.insert_two_postings", entry.entry_id, *one, *other)
    if len(lines) % 2:
        tx.run("ledger.insert_posting", entry.entry_id, *lines[-1])


def standing_trades(tx: Tx, telling: Telling, holding: Holding) -> list[Trade]:
    """Return the trades of a holding that were not undone, in the order we booked them, with those of `telling`."""
    place = holding.market_id, holding.outcome_id
    stored = tx.all(_Traded, "orders.trades", telling.stream_id, telling.venue, *place)
    trades = {row.fill_id: row for row in stored}
    for fill in telling.fills:
        if (fill.market_id, fill.outcome_id) == place:
            trades[fill.fill_id] = _Traded(fill.fill_id, fill.reversed, fill.side, fill.price, fill.size)
    return [Trade(*row[2:]) for _, row in sorted(trades.items()) if not row.reversed]


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


def _opened(*columns: Any) -> Opened:
    balance, cursor = (Balance(), None) if columns[6] is None else _account(*columns[6:])
    return Opened(Stream(*columns[:6]), Books(balance), cursor)


def _account(
    cash: int, held: int, untold: int, timestamp: int, seq: int, cursor: int | None
) -> tuple[Balance, int | None]:
    return Balance(cash, held, untold, timestamp, seq), cursor
