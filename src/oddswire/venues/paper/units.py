"""The venue's units of work: place, cancel, expire, settle, and the evidence of an account."""

from msgspec import Struct

from oddswire.ids import new_id
from oddswire.money import ONE
from oddswire.store.base import Tx
from oddswire.venues.base import (
    Account,
    Evidence,
    FillReport,
    OrderReport,
    OrderRequest,
    SettlementReport,
    TransferReport,
    VenueRejected,
)
from oddswire.venues.paper import book
from oddswire.venues.paper.book import PaperOrder
from oddswire.venues.paper.config import NO, YES, MarketSpec, PaperConfig
from oddswire.venues.paper.floor import AccountRow, FillRow, Floor, HeldRow, MarketRow, house_account, user_account

CANCELED_BY_USER = "canceled_by_user"


class Request(Struct, frozen=True):
    """One request at the venue: whose, of which book, when."""

    tx: Tx
    config: PaperConfig
    account: Account
    now: int

    @property
    def floor(self) -> Floor:
        """A fresh floor to work on."""
        return Floor(self.tx, self.config, self.account.app, self.now)

    @property
    def name(self) -> str:
        """The account's name in this book."""
        return user_account(self.account.user)


def open_account(request: Request) -> Evidence:
    """Make the account with its opening deposit where there is none; return all it holds."""
    floor = request.floor
    if floor.account(request.name) is None:
        floor.deposit(request.name, "opening", request.config.opening)
        floor.leave()
    return evidence(request, 0)


def place(request: Request, wanted: OrderRequest) -> Evidence:
    """Take an order, match it, and rest what is left.

    Raises:
        VenueRejected: nothing of it is stored.
    """
    tx, config = request.tx, request.config
    known = tx.one(PaperOrder, "paper.order_by_ref", request.account.app, request.name, wanted.ref)
    if known is not None:
        return find(request, wanted.ref)
    if request.now > wanted.deadline:
        raise VenueRejected("too_late", "The request arrived after its deadline.")
    spec = config.markets.get(wanted.market_id)
    if spec is None:
        raise VenueRejected("unknown_market", f"There is no market {wanted.market_id!r}.")
    floor = request.floor
    market = floor.market(spec)
    account = floor.account(request.name)
    if account is None:
        raise VenueRejected("unknown_account", "The account has not been opened.")
    before = account.version
    _check_terms(wanted, spec, market, request.now)
    order = _taken(request, wanted)
    _check_means(order, account, floor, config.fee)
    matching = book.match(order, floor.resting(order), request.now)
    if order.post_only and (matching.matches or matching.met_itself):
        raise VenueRejected("post_only_would_cross", "The order would trade at once.")
    floor.rest(order, market)
    if order.time_in_force == "fok" and matching.size < order.size:
        floor.end(order, "canceled", "fok_not_filled")
    else:
        _trade(floor, order, matching, market, spec)
    floor.leave()
    return _told(request, floor, before)


def _trade(floor: Floor, order: PaperOrder, matching: book.Matching, market: MarketRow, spec: MarketSpec) -> None:
    consumed = touched = 0
    for match in matching.matches:
        maker = floor.trade(order, match, market)
        if maker.account == house_account(spec.market_id):
            touched += 1
            consumed += maker.state == "filled"
    if order.state == "open" and matching.met_itself:
        floor.end(order, "canceled", "self_match")
    elif order.state == "open" and len(matching.matches) == book.MOST_MATCHES:
        floor.end(order, "canceled", "too_many_matches")
    elif order.state == "open" and order.time_in_force == "ioc":
        floor.end(order, "canceled", "ioc_not_filled")
    if consumed:
        market.reference = book.shifted(spec, market.reference, order.is_bid, consumed)
        floor.save_orders()
        floor.quote(spec, market)


def _check_terms(wanted: OrderRequest, spec: MarketSpec, market: MarketRow, now: int) -> None:
    if market.status != "open":
        raise VenueRejected("market_closed", f"The market is {market.status}.")
    if wanted.outcome_id not in (YES, NO):
        raise VenueRejected("unknown_outcome", "The outcomes are yes and no.")
    if not 0 < wanted.price < ONE:
        raise VenueRejected("price_out_of_range", "A price is above 0 and below 1.")
    if wanted.price % spec.tick:
        raise VenueRejected("price_off_tick", "The price is no multiple of the tick.")
    if wanted.size < spec.min_size:
        raise VenueRejected("size_too_small", "The size is below the least.")
    if wanted.size > spec.max_size:
        raise VenueRejected("size_too_large", "The size is above the most.")
    if wanted.size % spec.size_step:
        raise VenueRejected("size_off_step", "The size is no multiple of the step.")
    if (wanted.time_in_force == "gtd") != (wanted.expires_at is not None):
        raise VenueRejected("expiry_invalid", "An expiry goes with gtd, and only with it.")
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise VenueRejected("expiry_invalid", "The expiry has passed.")


def _check_means(order: PaperOrder, account: AccountRow, floor: Floor, fee: int) -> None:
    needed, contracts = book.holds(order, fee)
    if needed > account.cash:
        raise VenueRejected("insufficient_funds", "The account has not the money.")
    if contracts and contracts > floor.held(order.market_id, order.account, order.outcome_id).free:
        raise VenueRejected("insufficient_holdings", "The account has not the contracts.")


def _taken(request: Request, wanted: OrderRequest) -> PaperOrder:
    is_bid, yes_price = book.place_in_book(wanted.outcome_id, wanted.side, wanted.price)
    return PaperOrder(
        order_id=new_id("pap", request.now),
        app=request.account.app,
        account=request.name,
        ref=wanted.ref,
        market_id=wanted.market_id,
        outcome_id=wanted.outcome_id,
        side=wanted.side,
        price=wanted.price,
        size=wanted.size,
        time_in_force=wanted.time_in_force,
        expires_at=wanted.expires_at,
        post_only=int(wanted.post_only),
        filled=0,
        state="open",
        reason=None,
        is_bid=is_bid,
        yes_price=yes_price,
        rank=0,
        money_held=0,
        contracts_held=0,
        changed_at=request.now,
        version=0,
    )


def cancel(request: Request, order_id: str) -> Evidence:
    """Take the rest of an order off the book; one that this has done before is told of again.

    Raises:
        VenueRejected: `unknown_order`, or `order_finished` where nothing of it rests.
    """
    order = request.tx.one(PaperOrder, "paper.order", order_id)
    if order is None or (order.app, order.account) != (request.account.app, request.name):
        raise VenueRejected("unknown_order", "The account has no such order.")
    if order.reason == CANCELED_BY_USER and order.ref is not None:
        return find(request, order.ref)
    if order.state != "open":
        raise VenueRejected("order_finished", f"The order is {order.state}.")
    floor = request.floor
    floor.market_row(order.market_id)
    before = floor.touch(request.name).version - 1
    floor.end(order, "canceled", CANCELED_BY_USER)
    floor.leave()
    return _told(request, floor, before)


def expire(tx: Tx, config: PaperConfig, order_id: str, now: int) -> None:
    """Expire an order that is due, unless it is finished by now."""
    order = tx.one(PaperOrder, "paper.order", order_id)
    if order is None or order.state != "open" or order.expires_at is None or order.expires_at > now:
        return
    floor = Floor(tx, config, order.app, now)
    floor.market_row(order.market_id)
    floor.end(order, "expired", "expired")
    floor.leave()


def settle(tx: Tx, config: PaperConfig, app: str, market_id: str, account: str, now: int) -> None:
    """Take one account out of a resolved market: cancel its orders, pay one dollar a winning contract."""
    floor = Floor(tx, config, app, now)
    market = floor.market_row(market_id)
    if market.status != "closed" or market.winner is None:
        return
    for order in tx.all(PaperOrder, "paper.open_of_account", app, market_id, account):
        floor.end(order, "canceled", "market_resolved")
    size = payout = 0
    for row in tx.all(HeldRow, "paper.holdings_of_account", app, market_id, account):
        held = floor.held(market_id, account, row.outcome_id)
        size += held.free + held.held
        payout += held.free if row.outcome_id == market.winner else 0
        held.free = 0
    if size:
        paid = floor.touch(account)
        paid.cash += payout
        market.pairs -= payout
        tx.run("paper.insert_settlement", app, account, paid.version, market_id, market.winner, payout, now)
    floor.leave()


def find(request: Request, ref: str) -> Evidence:
    """Return evidence of one order by its ref, of none where it never arrived."""
    order = request.tx.one(PaperOrder, "paper.order_by_ref", request.account.app, request.name, ref)
    if order is None:
        return Evidence(request.account, request.now)
    fills = request.tx.all(FillRow, "paper.fills_of_order", order.order_id)
    return Evidence(
        request.account, request.now, orders=(_order_report(order),), fills=tuple(_fill_report(row) for row in fills)
    )


def evidence(request: Request, after: int) -> Evidence:
    """Return all that changed of an account after a version, and its wallet."""
    tx, key = request.tx, (request.account.app, request.name)
    row = tx.one(AccountRow, "paper.account", *key)
    if row is None:
        return Evidence(request.account, request.now)
    return Evidence(
        account=request.account,
        as_of=request.now,
        previous=after,
        cursor=row.version,
        orders=tuple(_order_report(order) for order in tx.all(PaperOrder, "paper.orders_after", *key, after)),
        fills=tuple(_fill_report(fill) for fill in tx.all(FillRow, "paper.fills_after", *key, after)),
        transfers=tuple(tx.all(TransferReport, "paper.transfers_after", *key, after)),
        settlements=tuple(tx.all(_settlement_report, "paper.settlements_after", *key, after)),
        wallet=row.cash + row.held,
    )


def _told(request: Request, floor: Floor, before: int) -> Evidence:
    """Return what `evidence` would of a unit that changed this account's orders and fills: it need not be read."""
    account = floor.touch(request.name)
    return Evidence(
        account=request.account,
        as_of=request.now,
        previous=before,
        cursor=account.version,
        orders=tuple(_order_report(order) for order in floor.changed_orders(request.name)),
        fills=tuple(_fill_report(fill) for name, fill in floor.fills if name == request.name),
        wallet=account.cash + account.held,
    )


def _order_report(order: PaperOrder) -> OrderReport:
    return OrderReport(
        venue_order_id=order.order_id,
        ref=order.ref,
        market_id=order.market_id,
        outcome_id=order.outcome_id,
        side=order.side,
        price=order.price,
        size=order.size,
        time_in_force=order.time_in_force,
        expires_at=order.expires_at,
        post_only=bool(order.post_only),
        filled=order.filled,
        state=order.state,
        reason=order.reason,
        venue_timestamp=order.changed_at,
    )


def _fill_report(row: FillRow) -> FillReport:
    return FillReport(row.fill_id, row.order_id, row.price, row.size, row.fee, bool(row.reversed), row.at)


def _settlement_report(market_id: str, winner: str, payout: int, at: int) -> SettlementReport:
    return SettlementReport(f"resolution-{market_id}", market_id, winner, payout, at)
