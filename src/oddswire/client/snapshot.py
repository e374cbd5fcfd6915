"""What a user has at one moment, and how each event moves it on. Pure."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from oddswire.client.connection import Reset, Told
from oddswire.events import BalanceUpdate, HoldingUpdate, OrderEvent, OrderStatus, OrderSubmitted, Side
from oddswire.money import to_decimal
from oddswire.wire import bodies
from oddswire.wire.cursor import Cursor

OPEN = ("unconfirmed", "open", "partially_filled")
"""The statuses of an order that may still fill."""


class HoldingKey(NamedTuple):
    """What a holding is of."""

    venue: str
    market_id: str
    outcome_id: str


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that may still fill; `size` and `filled` are contracts, `seq` the event it is as of."""

    order_id: str
    client_order_id: str | None
    venue: str
    market_id: str
    outcome_id: str
    side: Side
    price: Decimal
    size: Decimal
    filled: Decimal
    status: OrderStatus
    seq: int

    @property
    def remaining(self) -> Decimal:
        """Contracts that may still fill."""
        return self.size - self.filled


@dataclass(slots=True)
class Snapshot:
    """Balances by venue, holdings that are not zero, and open orders by id: the state after the event `cursor`.

    The three were read one after the other, so each knows its own place: `apply` passes over what a part has already.
    """

    balances: dict[str, bodies.Balance]
    holdings: dict[HoldingKey, bodies.Holding]
    orders: dict[str, OpenOrder]
    cursor: Cursor
    _known: dict[type, int] = field(default_factory=dict)

    @classmethod
    def of(cls, balances: bodies.Balances, holdings: bodies.Holdings, pages: list[bodies.Orders]) -> "Snapshot":
        """Return the snapshot of these answers, which are of one epoch."""
        orders_seq = min(page.seq for page in pages)
        return cls(
            balances={row.venue: row for row in balances.balances},
            holdings={HoldingKey(row.venue, row.market_id, row.outcome_id): row for row in holdings.holdings},
            orders={row.order_id: _open_order(row) for page in pages for row in page.data if row.status in OPEN},
            cursor=Cursor(min(balances.seq, holdings.seq, orders_seq), balances.epoch),
            _known={
                BalanceUpdate: balances.seq,
                HoldingUpdate: holdings.seq,
                OrderSubmitted: orders_seq,
                OrderEvent: orders_seq,
            },
        )

    def apply(self, event: Told) -> bool:
        """Move on by the stream's next event. False where that takes a new snapshot: events are missing (`Reset`).

        An order whose terms no event has told (`unconfirmed` before it was submitted, on the book again by a
        reversal) takes one too.
        """
        if isinstance(event, Reset):
            return False
        if event.seq <= self._known.get(type(event), 0):
            return True
        if event.seq > self.cursor.seq:
            self.cursor = Cursor(event.seq, self.cursor.epoch)
        match event:
            case BalanceUpdate():
                self._balance(event)
            case HoldingUpdate():
                self._holding(event)
            case OrderSubmitted():
                self._submitted(event)
            case OrderEvent():
                return self._step(event)
            case _:
                pass
        return True

    def _balance(self, event: BalanceUpdate) -> None:
        self.balances[event.venue] = bodies.Balance(
            venue=event.venue,
            trading_balance_cents=event.trading_balance_cents,
            wallet_balance_cents=event.wallet_balance_cents,
            trading_balance_raw=event.trading_balance_raw,
            wallet_balance_raw=event.wallet_balance_raw,
            timestamp=event.timestamp,
            seq=event.seq,
        )

    def _holding(self, event: HoldingUpdate) -> None:
        key = HoldingKey(event.venue, event.market_id, event.outcome_id)
        if not event.size:
            self.holdings.pop(key, None)
            return
        self.holdings[key] = bodies.Holding(
            venue=event.venue,
            market_id=event.market_id,
            outcome_id=event.outcome_id,
            size=event.size,
            available=event.available,
            average_price=event.average_price,
            timestamp=event.timestamp,
            seq=event.seq,
        )

    def _submitted(self, event: OrderSubmitted) -> None:
        before = self.orders.get(event.order_id)
        if before is not None and before.seq >= event.seq:
            return
        self.orders[event.order_id] = OpenOrder(
            order_id=event.order_id,
            client_order_id=event.client_order_id or None,
            venue=event.venue,
            market_id=event.market_id,
            outcome_id=event.outcome_id,
            side=event.side,
            price=event.price,
            size=event.size,
            filled=Decimal(0),
            status="open",
            seq=event.seq,
        )

    def _step(self, event: OrderEvent) -> bool:
        before = self.orders.get(event.order_id)
        if before is None:
            return event.status not in OPEN
        if before.seq >= event.seq:
            return True
        if event.status not in OPEN:
            del self.orders[event.order_id]
            return True
        self.orders[event.order_id] = OpenOrder(
            order_id=before.order_id,
            client_order_id=before.client_order_id,
            venue=before.venue,
            market_id=before.market_id,
            outcome_id=before.outcome_id,
            side=before.side,
            price=before.price,
            size=before.size,
            filled=to_decimal(int(event.filled_amount_raw)),
            status=event.status,
            seq=event.seq,
        )
        return True


def _open_order(row: bodies.Order) -> OpenOrder:
    return OpenOrder(
        order_id=row.order_id,
        client_order_id=row.client_order_id,
        venue=row.venue,
        market_id=row.market_id,
        outcome_id=row.outcome_id,
        side=row.side,
        price=row.price,
        size=row.size,
        filled=to_decimal(int(row.filled_amount_raw)),
        status=row.status,
        seq=row.seq,
    )
