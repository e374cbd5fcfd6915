"""What `watch` keeps of one user: balances, holdings and open orders, read once and moved on by events."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from oddswire.client import Client, Reset, Told
from oddswire.events import BalanceUpdate, HoldingUpdate, OrderEvent, OrderStatus, OrderSubmitted, Side
from oddswire.wire import bodies

LAST_EVENTS = 12
_OPEN = ("unconfirmed", "open", "partially_filled")


@dataclass(slots=True)
class BalanceRow:
    """The balance at one venue, in cents; `seq` is the event it is as of."""

    trading: int
    wallet: int | None
    seq: int


@dataclass(slots=True)
class HoldingRow:
    """Contracts of one outcome; `seq` is the event it is as of."""

    size: Decimal
    available: Decimal
    average_price: Decimal
    seq: int


@dataclass(slots=True)
class OrderRow:
    """An order that may still fill; amounts filled in millionths; `seq` is the event it is as of."""

    venue: str
    market: str
    outcome: str
    side: Side
    size: Decimal
    price: Decimal
    status: OrderStatus
    filled: str
    seq: int


class HoldingKey(NamedTuple):
    """What a holding is of."""

    venue: str
    market: str
    outcome: str


@dataclass(slots=True)
class Board:
    """The state, as of event `since` of `epoch` or later: a row takes an event only if that is newer than the row."""

    since: int = 0
    epoch: str = ""
    balances: dict[str, BalanceRow] = field(default_factory=dict)
    holdings: dict[HoldingKey, HoldingRow] = field(default_factory=dict)
    orders: dict[str, OrderRow] = field(default_factory=dict)
    last: deque[Told] = field(default_factory=lambda: deque(maxlen=LAST_EVENTS))

    async def read(self, client: Client) -> None:
        """Read everything anew; what the reads are all at least as new as is `since`."""
        balances, holdings = await client.balances(), await client.holdings()
        orders = [order async for order in _open_orders(client)]
        self.balances = {
            row.venue: BalanceRow(row.trading_balance_cents, row.wallet_balance_cents, row.seq)
            for row in balances.balances
        }
        self.holdings = {
            HoldingKey(row.venue, row.market_id, row.outcome_id): HoldingRow(
                row.size, row.available, row.average_price, row.seq
            )
            for row in holdings.holdings
        }
        self.orders = {row.order_id: _order_row(row) for row in orders}
        # the orders were read last, so nothing here is older than the balances
        self.since, self.epoch = balances.seq, balances.epoch

    def take(self, told: Told) -> bool:
        """Move the rows on that an event is about; return False where that takes reading the state again."""
        self.last.append(told)
        match told:
            case Reset():
                return False
            case OrderEvent():
                return self._step(told)
            case BalanceUpdate():
                before = self.balances.get(told.venue)
                if before is None or before.seq < told.seq:
                    self.balances[told.venue] = BalanceRow(
                        told.trading_balance_cents, told.wallet_balance_cents, told.seq
                    )
            case HoldingUpdate():
                self._hold(told)
            case OrderSubmitted():
                self._open(told)
            case _:
                pass
        return True

    def _hold(self, told: HoldingUpdate) -> None:
        key = HoldingKey(told.venue, told.market_id, told.outcome_id)
        before = self.holdings.get(key)
        if before is None or before.seq < told.seq:
            self.holdings[key] = HoldingRow(told.size, told.available, told.average_price, told.seq)

    def _open(self, told: OrderSubmitted) -> None:
        before = self.orders.get(told.order_id)
        if before is None or before.seq < told.seq:
            terms = told.venue, told.market_id, told.outcome_id, told.side, told.size, told.price
            self.orders[told.order_id] = OrderRow(*terms, "open", "0", told.seq)

    def _step(self, told: OrderEvent) -> bool:
        row = self.orders.get(told.order_id)
        if row is None:
            # unconfirmed before it was submitted, or back on the book by a reversal: the event does not say its terms
            return told.status not in _OPEN
        if row.seq < told.seq:
            row.status, row.filled, row.seq = told.status, told.filled_amount_raw, told.seq
        if row.status not in _OPEN:
            del self.orders[told.order_id]
        return True


async def _open_orders(client: Client) -> AsyncIterator[bodies.Order]:
    cursor: str | None = None
    while True:
        page = await client.orders(status=",".join(_OPEN), cursor=cursor, limit=100)
        for order in page.data:
            yield order
        cursor = page.next_cursor
        if cursor is None:
            return


def _order_row(order: bodies.Order) -> OrderRow:
    terms = order.venue, order.market_id, order.outcome_id, order.side, order.size, order.price
    return OrderRow(*terms, order.status, order.filled_amount_raw, order.seq)
