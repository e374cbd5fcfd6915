"""Merging a venue's evidence into our books: one unit of work, the same however the evidence came.

Evidence may be old, repeated or out of order, so merging is by facts and not by sequence: a fill is booked once by the
venue's id of it, an order is told submitted once, a finished order goes back only by a late fill or a reversal.
"""

from msgspec import Struct
from msgspec.structs import replace

from oddswire.clock import Clock
from oddswire.events import Source
from oddswire.ids import id_series, new_id
from oddswire.ledger.books import average_of
from oddswire.orders import records
from oddswire.orders.order import Order
from oddswire.orders.records import KnownFill, Opened
from oddswire.orders.telling import Telling
from oddswire.store.base import Tx
from oddswire.venues.base import Evidence, FillReport, OrderReport, SettlementReport


class Recorded(Struct):
    """What came of a unit: the orders it changed, how far the account is known, and a correction it had to make.

    `contradicted` are orders that we hold as rejected and the venue has all the same: nothing of them is recorded.
    """

    orders: list[Order] = []
    cursor: int | None = None
    correction: int = 0
    contradicted: list[str] = []


def begin(opened: Opened, venue: str, clock: Clock, source: Source) -> Telling:
    """Return a telling on a user's books, whose time is never before the stream's newest event."""
    stream = opened.stream
    now = max(clock.now(), stream.last_timestamp)
    return Telling(
        stream_id=stream.stream_id,
        venue=venue,
        seq=stream.head,
        timestamp=now,
        books=opened.books,
        source=source,
        fill_ids=id_series("fil", now),
    )


def open_order(tx: Tx, opened: Opened, telling: Telling, order: Order) -> Order:
    """Read an order's holding into the books, and return the one copy of the order this telling works on."""
    telling.remember(records.open_holding(tx, opened, order.venue, order.market_id, order.outcome_id))
    return telling.orders.get(order.order_id, order)


def record(tx: Tx, history_id: str, venue: str, evidence: Evidence, clock: Clock, source: Source) -> Recorded:
    """Merge `evidence` and store what it changed, with the events that tell it; nothing new stores nothing.

    `source` is `reconciled` where our own check found it and not the venue's stream or answer.
    """
    opened = records.open_user(tx, evidence.account, venue, clock.now())
    stream, telling = opened.stream, begin(opened, venue, clock, source)
    recorded = Recorded()
    fills: dict[str, list[FillReport]] = {}
    for fill in evidence.fills:
        fills.setdefault(fill.venue_order_id, []).append(fill)
    for report in evidence.orders:
        order = _find(tx, opened, telling, report)
        if order.status == "rejected":
            recorded.contradicted.append(order.order_id)
            fills.pop(report.venue_order_id, None)
            continue
        _merge_order(tx, telling, order, report, fills.pop(report.venue_order_id, []))
    for venue_order_id, rest in fills.items():
        stored = tx.one(Order, "orders.by_venue_id", stream.stream_id, venue, venue_order_id)
        if stored is not None:
            _merge_fills(tx, telling, open_order(tx, opened, telling, stored), rest, resting=False)
    for transfer in evidence.transfers:
        reference = f"{stream.stream_id}/{venue}/{transfer.transfer_id}"
        if not _is_booked(tx, telling, f"transfer:{reference}"):
            telling.transfer(reference, transfer.amount)
    for settlement in evidence.settlements:
        _settle(tx, opened, telling, settlement)
    before = recorded.cursor = opened.cursor
    _follow(opened, telling, evidence, recorded)
    opened.cursor = recorded.cursor
    for holding in telling.reversed_holdings():
        holding.average_price = average_of(records.standing_trades(tx, telling, holding))
    telling.finish()
    if telling.events or telling.books.entries or telling.orders:
        records.save(tx, history_id, opened, telling)
    elif recorded.cursor != before:
        tx.run("ledger.set_cursor", stream.stream_id, venue, recorded.cursor)
    recorded.orders = list(telling.orders.values())
    return recorded


def _find(tx: Tx, opened: Opened, telling: Telling, report: OrderReport) -> Order:
    """Return our order of a report, a new one where it was placed at the venue by other means."""
    stream_id, venue = opened.stream.stream_id, telling.venue
    order = None
    if report.ref is not None:
        order = records.order_by_id(tx, report.ref)
        if order is not None and (order.stream_id, order.venue) != (stream_id, venue):
            order = None
    if order is None:
        order = tx.one(Order, "orders.by_venue_id", stream_id, venue, report.venue_order_id)
    if order is None:
        order = _adopted(stream_id, telling, report)
    return open_order(tx, opened, telling, order)


def _adopted(stream_id: int, telling: Telling, report: OrderReport) -> Order:
    return Order(
        order_id=new_id("ord", telling.timestamp),
        stream_id=stream_id,
        venue=telling.venue,
        market_id=report.market_id,
        outcome_id=report.outcome_id,
        side=report.side,
        price=report.price,
        size=report.size,
        time_in_force=report.time_in_force,
        expires_at=report.expires_at,
        post_only=int(report.post_only),
        fee=0,
        client_order_id=None,
        origin="venue",
        status="pending",
        filled=0,
        money_held=0,
        contracts_held=0,
        venue_order_id=report.venue_order_id,
        submitted=0,
        cancel_wanted=0,
        error_reason=None,
        mark_node="",
        mark_deadline=0,
        created_at=telling.timestamp,
        timestamp=telling.timestamp,
        seq=0,
        session_id=None,
    )


def _merge_order(tx: Tx, telling: Telling, order: Order, report: OrderReport, fills: list[FillReport]) -> None:
    if not order.submitted:
        if order.origin == "venue" and order.seq == 0:
            telling.adopt(order, report)
        else:
            telling.submit(order, report)
    _merge_fills(tx, telling, order, fills, resting=report.state == "open")
    if order.finished:
        return
    if report.state in ("canceled", "expired"):
        telling.end(
            order, "expired" if report.state == "expired" else "canceled", report.reason, report.venue_timestamp
        )


def _merge_fills(tx: Tx, telling: Telling, order: Order, fills: list[FillReport], *, resting: bool) -> None:
    """Book the fills that are new and undo those that the venue undid; `resting` is whether it says the order rests.

    One that was undone before we heard of it is booked all the same: older evidence may still bring it as a fill.
    """
    if not fills:
        return
    known = {row.venue_fill_id: row for row in tx.all(KnownFill, "orders.known_fills", order.order_id)}
    for fill in sorted(fills, key=_told_at):
        before = known.get(fill.fill_id)
        if before is None:
            fill_id = telling.fill(order, replace(fill, reversed=False))
            before = known[fill.fill_id] = KnownFill(fill.fill_id, fill_id, 0)
        if fill.reversed and not before.reversed:
            # an order that ends in the same evidence is ended after its fills
            telling.reverse(order, before.fill_id, fill, resting or not order.finished)
            known[fill.fill_id] = before._replace(reversed=1)


def _told_at(fill: FillReport) -> int:
    return fill.venue_timestamp


def _settle(tx: Tx, opened: Opened, telling: Telling, report: SettlementReport) -> None:
    stream_id, venue = opened.stream.stream_id, telling.venue
    reference = f"{stream_id}/{venue}/{report.settlement_id}"
    if _is_booked(tx, telling, f"settlement:{reference}"):
        return
    records.open_market_holdings(tx, opened, venue, report.market_id)
    for holding in list(opened.books.holdings.values()):
        telling.remember(holding)
    live = tx.all(Order, "orders.live_of_market", stream_id, venue, report.market_id)
    telling.settle(reference, report, [telling.orders.get(order.order_id, order) for order in live])


def _follow(opened: Opened, telling: Telling, evidence: Evidence, recorded: Recorded) -> None:
    """Move the account's cursor if the evidence leaves no gap, and then trust the venue's wallet over ours.

    Its wallet is older than our books where we have recorded anything since it was looked up, such as an answer that
    overtook it: then it says nothing of them.
    """
    known = opened.cursor or 0
    if evidence.previous is None or evidence.cursor is None or evidence.previous > known or evidence.cursor < known:
        return
    recorded.cursor = evidence.cursor
    wallet = opened.books.balance.wallet
    newest = evidence.as_of > opened.stream.last_timestamp
    if evidence.wallet is not None and evidence.wallet != wallet and newest:
        recorded.correction = evidence.wallet - wallet
        reference = f"{opened.stream.stream_id}/{telling.venue}/{evidence.cursor}/{telling.timestamp}"
        telling.correct(reference, recorded.correction)


def _is_booked(tx: Tx, telling: Telling, entry_id: str) -> bool:
    """Tell whether a fact has been booked, by an earlier commit or by this one."""
    return any(entry.entry_id == entry_id for entry in telling.books.entries) or records.has_entry(tx, entry_id)
