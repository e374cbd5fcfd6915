"""One commit's worth of change for one user at one venue: books, orders, and the events that tell it, in order. Pure.

PROTOCOL 1.6: an order's `order_submitted` and its `balance_update` come first, then one `order_event` a fill or step,
at the end one `holding_update` a changed holding and one `balance_update` a venue.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from msgspec import UNSET, Struct

from oddswire import money
from oddswire.events import (
    BalanceReason,
    BalanceUpdate,
    HoldingUpdate,
    MarketSettled,
    OrderEvent,
    OrderStatus,
    OrderStep,
    OrderSubmitted,
    Side,
    Source,
    UserEvent,
)
from oddswire.ledger import rules
from oddswire.ledger.books import Books, Holding, Trade, joined_average
from oddswire.ledger.entries import contracts
from oddswire.orders.order import BY_ABSENCE, Order
from oddswire.venues.base import FillReport, OrderReport, SettlementReport

CANCELED_ON_DISCONNECT: Final = "canceled_on_disconnect"
"""Why an order was canceled, where we asked for it because its session had been gone too long."""


class Fill(Struct, frozen=True):
    """A fill to be stored, its fields in the order of its row."""

    fill_id: str
    stream_id: int
    venue: str
    venue_fill_id: str
    order_id: str
    market_id: str
    outcome_id: str
    side: Side
    price: int
    size: int
    fee: int
    reversed: int
    source: Source
    venue_timestamp: int
    timestamp: int
    seq: int


@dataclass(slots=True)
class Telling:
    """Books, and the events since `seq`; every change made through it is told when `finish` has been called.

    `timestamp` is the commit's time in ms, `source` how we learned of it, `fill_ids` where new ids come from, in order.
    `orders` are those it changed, `new` the ids of those that are not stored yet.
    """

    stream_id: int
    venue: str
    seq: int
    timestamp: int
    books: Books
    source: Source
    fill_ids: Iterator[str]
    events: list[UserEvent] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    new: set[str] = field(default_factory=set)
    fills: list[Fill] = field(default_factory=list)
    _reason: tuple[BalanceReason, str | None] | None = None
    _told: tuple[int, int] = (0, 0)
    _told_holdings: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._told = (self.books.balance.trading, self.books.balance.wallet)

    def remember(self, holding: Holding) -> None:
        """Take a holding that was read into the books as what the user has been told of it."""
        self._told_holdings.setdefault(contracts(holding.market_id, holding.outcome_id), _shown(holding))

    # ---- an order's life

    def intend(self, order: Order) -> None:
        """Place the hold of a new order: committed silently, told by `submit` or `unconfirm`."""
        order.money_held, order.contracts_held = order.holds()
        holding = self._holding(order)
        holds = order.money_held, order.contracts_held
        self.books.post(rules.hold(order.order_id, order.market_id, order.outcome_id, *holds))
        self.books.balance.untold += order.money_held
        holding.untold += order.contracts_held
        self.orders[order.order_id] = order
        self.new.add(order.order_id)

    def unconfirm(self, order: Order) -> None:
        """Tell that nobody knows whether the venue has it; its hold is told with that."""
        self._tell_hold(order)
        self._step(order, "unconfirmed", order.move("unconfirmed"))
        self._tell_balance("order_placed", order.order_id, always=False)

    def reject(self, order: Order, reason: str) -> None:
        """Tell that the venue never had it, and give back what it held; a hold never told is not told now either."""
        if order.status == "pending":
            self._tell_hold(order)
        order.error_reason = reason
        before = order.move("rejected")
        self._release(order)
        self._step(order, "rejected", before)

    def submit(self, order: Order, report: OrderReport) -> None:
        """Tell that the venue has it: once an order, before all its other events except `unconfirmed`."""
        order.venue_order_id = report.venue_order_id
        if order.status == "pending":
            self._tell_hold(order)
        order.move("open")
        order.submitted = 1
        event = OrderSubmitted(
            **self._next(),
            order_id=order.order_id,
            side=order.side,
            price=money.to_decimal(order.price),
            size=money.to_decimal(order.size),
            market_id=order.market_id,
            outcome_id=order.outcome_id,
            client_order_id=order.client_order_id or UNSET,
            origin="venue" if order.origin else UNSET,
            venue_timestamp=report.venue_timestamp,
        )
        self._tell(order, event)
        self._tell_balance("order_placed", order.order_id, always=True)

    def adopt(self, order: Order, report: OrderReport) -> None:
        """Take over an order found at the venue that did not come through us, and tell it."""
        self.intend(order)
        self.submit(order, report)

    def fill(self, order: Order, report: FillReport) -> str:
        """Book a fill, tell it and return its id with us; a fill of a finished order corrects it."""
        held = order.money_held, order.contracts_held
        order.filled += report.size
        whole = order.filled >= order.size
        before = order.move("filled" if whole else order.status if order.finished else "partially_filled")
        order.money_held, order.contracts_held = order.holds()
        fill_id = next(self.fill_ids)
        holding = self._holding(order)
        trade = Trade(order.side, report.price, report.size)
        holding.average_price = joined_average(holding.average_price, holding.size, trade)
        captured = held[0] - order.money_held, held[1] - order.contracts_held
        self.books.post(rules.fill(fill_id, *_terms(order, report), *captured))
        self._because("fill", order.order_id)
        self._step(order, "filled" if whole else "partially_filled", before, report)
        self._keep(order, fill_id, report)
        if whole and order.cancel_wanted:
            self.refuse_cancel(order, "order_finished")
        return fill_id

    def reverse(self, order: Order, fill_id: str, report: FillReport, resting: bool) -> None:
        """Undo a fill told before; unless the order still rests at the venue it is canceled (PROTOCOL 2.5).

        The holding's average price is not known from this alone: see `reversed_holdings`.
        `resting` may be older than what we know: an order that has ended since, or is whole by other fills, stays so.
        """
        held = order.money_held, order.contracts_held
        order.filled -= report.size
        before = order.move(_after_reversal(order, resting))
        order.money_held, order.contracts_held = order.holds()
        again = order.money_held - held[0], order.contracts_held - held[1]
        self._holding(order)
        self.books.post(rules.reversal(fill_id, *_terms(order, report), *again))
        self._because("correction", order.order_id)
        self._step(order, "reversed", before, report)
        self._keep(order, fill_id, report)

    def reversed_holdings(self) -> list[Holding]:
        """Return the holdings whose fills were undone here: their average price is that of the fills that stand."""
        assets = {contracts(fill.market_id, fill.outcome_id): None for fill in self.fills if fill.reversed}
        return [self.books.holdings[asset] for asset in assets]

    def end(self, order: Order, status: Literal["canceled", "expired"], reason: str | None, at: int | None) -> None:
        """Tell that the rest of the order is off the book, and give back what it held."""
        by_absence = status == "canceled" and order.cancel_wanted == BY_ABSENCE
        order.error_reason = CANCELED_ON_DISCONNECT if by_absence else reason
        before = order.move(status)
        self._release(order)
        self._step(order, status, before, at=at)

    def refuse_cancel(self, order: Order, reason: str) -> None:
        """Tell that the venue would not cancel it."""
        order.cancel_wanted = 0
        self._step(order, "cancel_rejected", order.status, why=reason)

    # ---- money without an order

    def transfer(self, reference: str, amount: int) -> None:
        """Book and tell a deposit (above 0) or a withdrawal."""
        self.books.post(rules.transfer(reference, amount))
        self._because("deposit" if amount >= 0 else "withdrawal", None)

    def correct(self, reference: str, amount: int) -> None:
        """Book and tell a difference that the venue's wallet shows and nothing explains."""
        self.books.post(rules.correction(reference, amount))
        self._because("correction", None)

    def settle(self, reference: str, report: SettlementReport, unfinished: list[Order]) -> None:
        """Book and tell that a market paid out: its contracts are gone, also those that `unfinished` orders hold."""
        gone = [
            (asset, holding.free, holding.held)
            for asset, holding in self.books.holdings.items()
            if holding.market_id == report.market_id and holding.size
        ]
        self.books.post(rules.settlement(reference, report.payout, gone))
        for asset, _, _ in gone:
            self.books.holdings[asset].untold = 0
        for order in unfinished:
            order.contracts_held = 0
            self.orders[order.order_id] = order
        event = MarketSettled(
            **self._next(),
            market_id=report.market_id,
            outcome_id=report.winner,
            payout_cents=money.floor_cents(report.payout),
            venue_timestamp=report.venue_timestamp,
        )
        self.events.append(event)
        self._because("settlement", None)

    def finish(self) -> None:
        """Tell each holding that is not as it was last told, then the balance once if it is not."""
        for asset, holding in self.books.touched.items():
            if _shown(holding) == self._told_holdings.get(asset, (0, 0, 0)):
                continue
            self._told_holdings[asset] = _shown(holding)
            event = HoldingUpdate(
                **self._next(),
                market_id=holding.market_id,
                outcome_id=holding.outcome_id,
                size=money.to_decimal(holding.size),
                available=money.to_decimal(holding.available),
                average_price=money.to_decimal(_shown(holding)[2]),
            )
            holding.seq, holding.timestamp = event.seq, event.timestamp
            self.events.append(event)
        if self._reason is not None:
            self._tell_balance(*self._reason, always=False)

    # ---- the small parts

    def _next(self) -> dict[str, Any]:
        self.seq += 1
        return {"venue": self.venue, "timestamp": self.timestamp, "seq": self.seq}

    def _because(self, reason: BalanceReason, order_id: str | None) -> None:
        self._reason = reason, order_id

    def _holding(self, order: Order) -> Holding:
        return self.books.holding(order.market_id, order.outcome_id)

    def _tell_hold(self, order: Order) -> None:
        self.books.balance.untold -= order.money_held
        if order.contracts_held:
            holding = self._holding(order)
            holding.untold -= order.contracts_held
            self.books.touched[contracts(order.market_id, order.outcome_id)] = holding

    def _release(self, order: Order) -> None:
        holds = order.money_held, order.contracts_held
        if any(holds):
            self._holding(order)
            self.books.post(rules.release(order.order_id, order.market_id, order.outcome_id, *holds))
        order.money_held = order.contracts_held = order.cancel_wanted = 0
        self._because("released", order.order_id)

    def _tell(self, order: Order, event: OrderSubmitted | OrderEvent) -> None:
        order.seq, order.timestamp = event.seq, event.timestamp
        self.orders[order.order_id] = order
        self.events.append(event)

    def _step(
        self,
        order: Order,
        step: OrderStep,
        before: OrderStatus,
        fill: FillReport | None = None,
        *,
        at: int | None = None,
        why: str | None = None,
    ) -> None:
        reason = why or (order.error_reason if step in ("rejected", "canceled", "expired") else None)
        event = OrderEvent(
            **self._next(),
            event=step,
            order_id=order.order_id,
            client_order_id=order.client_order_id or UNSET,
            market_id=order.market_id,
            outcome_id=order.outcome_id,
            status=order.status,
            previous_status=before,
            filled_amount_raw=str(order.filled),
            remaining_amount_raw=str(order.remaining),
            source=self.source,
            fill_price=money.to_decimal(fill.price) if fill else UNSET,
            fill_size=money.to_decimal(fill.size) if fill else UNSET,
            fee_raw=str(fill.fee) if fill else UNSET,
            error_reason=reason or UNSET,
            venue_timestamp=fill.venue_timestamp if fill else UNSET if at is None else at,
        )
        self._tell(order, event)

    def _keep(self, order: Order, fill_id: str, report: FillReport) -> None:
        self.fills.append(
            Fill(
                fill_id=fill_id,
                stream_id=self.stream_id,
                venue=self.venue,
                venue_fill_id=report.fill_id,
                order_id=order.order_id,
                market_id=order.market_id,
                outcome_id=order.outcome_id,
                side=order.side,
                price=report.price,
                size=report.size,
                fee=report.fee,
                reversed=int(report.reversed),
                source=self.source,
                venue_timestamp=report.venue_timestamp,
                timestamp=self.timestamp,
                seq=self.seq,
            )
        )

    def _tell_balance(self, reason: BalanceReason, order_id: str | None, *, always: bool) -> None:
        balance = self.books.balance
        now = balance.trading, balance.wallet
        if now == self._told and not always:
            return
        self._told = now
        event = BalanceUpdate(
            **self._next(),
            trading_balance_cents=money.floor_cents(balance.trading),
            wallet_balance_cents=money.floor_cents(balance.wallet),
            trading_balance_raw=str(balance.trading),
            wallet_balance_raw=str(balance.wallet),
            reason=reason,
            order_id=order_id or UNSET,
        )
        balance.seq, balance.timestamp = event.seq, event.timestamp
        self.events.append(event)


def _after_reversal(order: Order, resting: bool) -> OrderStatus:
    if order.filled >= order.size:
        return "filled"
    if not resting:
        return "canceled"
    if order.status in ("canceled", "expired"):
        return order.status
    return "partially_filled" if order.filled else "open"


def _shown(holding: Holding) -> tuple[int, int, int]:
    return holding.size, holding.available, holding.average_price if holding.size else 0


def _terms(order: Order, report: FillReport) -> tuple[str, str, Side, int, int, int]:
    return order.market_id, order.outcome_id, order.side, report.price, report.size, report.fee
