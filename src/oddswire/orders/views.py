"""What REST reads of a user's state: every answer is exactly the state after its `seq`, from one snapshot."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from msgspec import UNSET

from oddswire import money
from oddswire.errors import InvalidInput, Missing
from oddswire.events import OrderStatus
from oddswire.ids import epoch_of, is_id
from oddswire.ledger.books import Balance, Holding
from oddswire.orders import records
from oddswire.orders.order import UNSETTLED, WORKING, Order
from oddswire.orders.telling import Fill
from oddswire.store.base import Tx
from oddswire.streams import log
from oddswire.streams.log import Stream
from oddswire.wire import bodies

NEWEST = "~"
"""A cursor before every id: `~` sorts after all characters ids are made of."""
SCAN = 1_000
"""How many rows a filtered page looks at before it is given out, full or not, with a cursor to go on from."""
_LIVE = UNSETTLED | WORKING
_TOLD: dict[str, OrderStatus] = {
    "unconfirmed": "unconfirmed",
    "open": "open",
    "partially_filled": "partially_filled",
    "filled": "filled",
    "canceled": "canceled",
    "expired": "expired",
    "rejected": "rejected",
}
STATUSES_PATTERN = rf"^(({'|'.join(_TOLD)})(,({'|'.join(_TOLD)}))*)?$"
"""What `parse_statuses` takes."""
T = TypeVar("T")


class BalanceRow(NamedTuple):
    """A balance and the venue it is at."""

    venue: str
    balance: Balance


class View:
    """A user's state in one read transaction."""

    def __init__(self, tx: Tx, history_id: str, app_id: str, user_id: str) -> None:
        self._tx = tx
        self._stream: Stream | None = log.find(tx, app_id, user_id)
        self._history_id = history_id

    @property
    def seq(self) -> int:
        """The event this state is after; 0 for a user never seen."""
        return self._stream.head if self._stream else 0

    @property
    def epoch(self) -> str:
        """The stream's epoch, empty for a user never seen."""
        return epoch_of(self._history_id, self._stream.stream_id) if self._stream else ""

    def balances(self, venue: str | None) -> bodies.Balances:
        """Return the balance at every venue, or at one."""
        rows = balance_rows(self._tx, self._stream.stream_id) if self._stream else []
        chosen = [balance_body(row) for row in rows if venue in (None, row.venue)]
        return bodies.Balances(balances=chosen, seq=self.seq, epoch=self.epoch)

    def holdings(self, venue: str | None) -> bodies.Holdings:
        """Return every holding that is not empty."""
        rows = self._tx.all(_holding_body, "ledger.holdings", self._stream.stream_id) if self._stream else []
        chosen = [row for row in rows if venue in (None, row.venue)]
        return bodies.Holdings(holdings=chosen, seq=self.seq, epoch=self.epoch)

    def order(self, order_id: str) -> bodies.Order:
        """Return one order, also a `pending` one.

        Raises:
            Missing: this user has no such order.
        """
        order = records.order_by_id(self._tx, order_id)
        if self._stream is None or order is None or order.stream_id != self._stream.stream_id:
            raise Missing(f"There is no order {order_id!r}.", path="$.orderId")
        return order_body(order)

    def orders(
        self,
        *,
        statuses: frozenset[OrderStatus],
        venue: str | None,
        client_order_id: str | None,
        cursor: str | None,
        limit: int,
    ) -> bodies.Orders:
        """Return a page of orders, newest first, `pending` ones only where asked for by `client_order_id`."""
        found: list[Order] = []
        after = None
        if self._stream is not None and client_order_id is not None:
            one = self._tx.one(Order, "orders.by_client_id", self._stream.stream_id, client_order_id)
            keep = _chooser(statuses, venue, pending=True)
            found = [one] if one is not None and keep(one) and one.order_id < (cursor or NEWEST) else []
        elif self._stream is not None:
            name = "orders.live" if statuses and statuses <= _LIVE else "orders.page"
            keep = _chooser(statuses, venue)
            rows = self._tx.all(Order, name, self._stream.stream_id, cursor or NEWEST, SCAN)
            found, after = _cut(rows, keep, limit, lambda order: order.order_id)
        return bodies.Orders(
            data=[order_body(order) for order in found],
            next_cursor=after,
            has_more=after is not None,
            seq=self.seq,
            epoch=self.epoch,
        )

    def fills(self, *, order_id: str | None, venue: str | None, cursor: str | None, limit: int) -> bodies.Fills:
        """Return a page of fills, newest first."""
        rows: list[Fill] = []
        if self._stream is not None and order_id is not None:
            name, values = "orders.fills_of_order", (order_id, self._stream.stream_id, cursor or NEWEST, SCAN)
            rows = self._tx.all(Fill, name, *values)
        elif self._stream is not None:
            rows = self._tx.all(Fill, "orders.fills_page", self._stream.stream_id, cursor or NEWEST, SCAN)
        found, after = _cut(rows, lambda fill: venue in (None, fill.venue), limit, lambda fill: fill.fill_id)
        return bodies.Fills(
            data=[_fill_body(fill) for fill in found],
            next_cursor=after,
            has_more=after is not None,
            seq=self.seq,
            epoch=self.epoch,
        )


def parse_cursor(text: str | None, prefix: str) -> str | None:
    """Return `?cursor=` where it is an id that a page of this list may have ended with.

    Raises:
        InvalidInput: `invalid_parameter`.
    """
    if text is not None and not is_id(prefix, text):
        raise InvalidInput("invalid_parameter", "A cursor is the `nextCursor` of the page before.", path="cursor")
    return text


def parse_statuses(text: str | None) -> frozenset[OrderStatus]:
    """Return the statuses of `?status=`, several with a comma between; none is all.

    Raises:
        InvalidInput: `invalid_parameter`.
    """
    words = text.split(",") if text else []
    wrong = [word for word in words if word not in _TOLD]
    if wrong:
        raise InvalidInput("invalid_parameter", f"A status is one of {', '.join(_TOLD)}.", path="status")
    return frozenset(_TOLD[word] for word in words)


def balance_rows(tx: Tx, stream_id: int) -> list[BalanceRow]:
    """Return a user's balances by venue."""
    return tx.all(lambda venue, *balance: BalanceRow(venue, Balance(*balance)), "ledger.balances", stream_id)


def balance_body(row: BalanceRow) -> bodies.Balance:
    """Return a balance as REST tells it: what has been told by events, cents rounded down."""
    balance = row.balance
    return bodies.Balance(
        venue=row.venue,
        trading_balance_cents=money.floor_cents(balance.trading),
        wallet_balance_cents=money.floor_cents(balance.wallet),
        trading_balance_raw=str(balance.trading),
        wallet_balance_raw=str(balance.wallet),
        timestamp=balance.timestamp,
        seq=balance.seq,
    )


def order_body(order: Order) -> bodies.Order:
    """Return an order as REST tells it."""
    return bodies.Order(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        venue=order.venue,
        market_id=order.market_id,
        outcome_id=order.outcome_id,
        side=order.side,
        price=money.to_decimal(order.price),
        size=money.to_decimal(order.size),
        time_in_force=order.time_in_force,
        status=order.status,
        filled_amount_raw=str(order.filled),
        remaining_amount_raw=str(order.remaining),
        timestamp=order.timestamp,
        seq=order.seq,
        expires_at=UNSET if order.expires_at is None else order.expires_at,
        post_only=bool(order.post_only),
        error_reason=order.error_reason or UNSET,
        origin="venue" if order.origin else UNSET,
    )


def _holding_body(venue: str, *row: str | int) -> bodies.Holding:
    holding = Holding(*row)  # type: ignore[arg-type]  # columns of the statement, in the fields' order
    return bodies.Holding(
        venue=venue,
        market_id=holding.market_id,
        outcome_id=holding.outcome_id,
        size=money.to_decimal(holding.size),
        available=money.to_decimal(holding.available),
        average_price=money.to_decimal(holding.average_price),
        timestamp=holding.timestamp,
        seq=holding.seq,
    )


def _fill_body(fill: Fill) -> bodies.Fill:
    return bodies.Fill(
        fill_id=fill.fill_id,
        order_id=fill.order_id,
        venue=fill.venue,
        market_id=fill.market_id,
        outcome_id=fill.outcome_id,
        side=fill.side,
        price=money.to_decimal(fill.price),
        size=money.to_decimal(fill.size),
        fee_raw=str(fill.fee),
        reversed=bool(fill.reversed),
        timestamp=fill.timestamp,
        venue_timestamp=fill.venue_timestamp,
        seq=fill.seq,
    )


def _chooser(statuses: frozenset[OrderStatus], venue: str | None, *, pending: bool = False) -> Callable[[Order], bool]:
    def keep(order: Order) -> bool:
        told = pending or order.status != "pending"
        return told and (not statuses or order.status in statuses) and venue in (None, order.venue)

    return keep


def _cut(rows: list[T], keep: Callable[[T], bool], limit: int, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Return the first `limit` rows to keep, and the cursor to go on from, None where nothing can follow."""
    found: list[T] = []
    for at, row in enumerate(rows):
        if len(found) == limit:
            return found, key(rows[at - 1])
        if keep(row):
            found.append(row)
    return found, key(rows[-1]) if len(rows) == SCAN else None
