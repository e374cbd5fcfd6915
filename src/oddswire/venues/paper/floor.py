"""One unit of work at the paper venue: the rows it touches, read once and written once, under its market's row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from oddswire.ids import id_series, new_id
from oddswire.money import ONE
from oddswire.store.base import SqlValue, Tx
from oddswire.venues.base import MarketStatus
from oddswire.venues.paper import book
from oddswire.venues.paper.book import Match, PaperOrder
from oddswire.venues.paper.config import NO, YES, MarketSpec, PaperConfig

FEES = "fees"
_CHUNK = 16
_Row = Callable[[Any], tuple[SqlValue, ...]]
_ORDER: _Row = attrgetter(*PaperOrder.__struct_fields__)
_ORDER_CHANGE: _Row = attrgetter(
    *("order_id", "filled", "state", "reason", "money_held", "contracts_held", "changed_at", "version")
)
_MARKET: _Row = attrgetter("market_id", "status", "winner", "reference", "pairs", "last_rank")
_ACCOUNT: _Row = attrgetter("account", "cash", "held", "version")
_HELD: _Row = attrgetter("free", "held")


def user_account(user: str) -> str:
    """Return the account of an app's user."""
    return f"user/{user}"


def house_account(market_id: str) -> str:
    """Return the account that quotes a market: one a market, so that markets share no row."""
    return f"house/{market_id}"


class MarketRow(Struct):
    """A market's state. `pairs` is YES outstanding, NO outstanding and the collateral in dollars, in millionths."""

    market_id: str
    status: MarketStatus
    winner: str | None
    reference: int
    pairs: int
    last_rank: int


class AccountRow(Struct):
    """An account's money in millionths; `version` counts the units that changed it."""

    account: str
    cash: int
    held: int
    version: int


class Held(Struct):
    """Contracts of one outcome in millionths."""

    free: int = 0
    held: int = 0


class HeldRow(NamedTuple):
    """A holding's row."""

    outcome_id: str
    free: int
    held: int


class FillRow(NamedTuple):
    """A fill's row; `other_fill` is the other side's, None for one of before that was kept."""

    fill_id: str
    order_id: str
    price: int
    size: int
    fee: int
    reversed: int
    at: int
    other_fill: str | None


@dataclass(slots=True)
class Floor:
    """The rows of one app's book that a unit works on; `leave` writes them back and lets the stream report."""

    tx: Tx
    config: PaperConfig
    app: str
    now: int
    fills: list[tuple[str, FillRow]] = field(default_factory=list)
    """The fills booked so far, each with its account."""
    _markets: dict[str, MarketRow] = field(default_factory=dict)
    _accounts: dict[str, AccountRow] = field(default_factory=dict)
    _holdings: dict[tuple[str, str, str], Held] = field(default_factory=dict)
    _orders: dict[str, PaperOrder] = field(default_factory=dict)
    _stored: dict[str | tuple[str, str, str], tuple[SqlValue, ...]] = field(default_factory=dict)
    _new: set[str] = field(default_factory=set)
    _unsaved: set[str] = field(default_factory=set)
    _changed: set[str] = field(default_factory=set)
    _fill_ids: Iterator[str] = field(default_factory=lambda: iter(()))

    def __post_init__(self) -> None:
        self._fill_ids = id_series("pfl", self.now)

    # ---- rows

    def market(self, spec: MarketSpec) -> MarketRow:
        """Return a market's row, made with the house's first quotes where this app has not touched it before."""
        if spec.market_id not in self._markets:
            row = self.tx.one(MarketRow, "paper.market", self.app, spec.market_id)
            if row is not None:
                self._stored[spec.market_id] = _MARKET(row)
            else:
                self.tx.run("paper.insert_market", self.app, spec.market_id, spec.reference)
                row = MarketRow(spec.market_id, "open", None, spec.reference, 0, 0)
                self._markets[spec.market_id] = row
                self.deposit(house_account(spec.market_id), "opening", self.config.house_money)
                self.quote(spec, row)
                # the order that made the market is to meet them
                self.save_orders()
            self._markets[spec.market_id] = row
        return self._markets[spec.market_id]

    def market_row(self, market_id: str) -> MarketRow:
        """Return the row of a market that has been touched before, also of one the catalogue has no longer.

        Raises:
            LookupError: this app has no such market.
        """
        if market_id not in self._markets:
            row = self.tx.one(MarketRow, "paper.market", self.app, market_id)
            if row is None:
                raise LookupError(f"app {self.app} has no market {market_id}")
            self._markets[market_id] = row
            self._stored[market_id] = _MARKET(row)
        return self._markets[market_id]

    def account(self, account: str) -> AccountRow | None:
        """Return an account's row, None where there is none."""
        if account not in self._accounts:
            row = self.tx.one(AccountRow, "paper.account", self.app, account)
            if row is None:
                return None
            self._accounts[account] = row
        return self._accounts[account]

    def touch(self, account: str) -> AccountRow:
        """Return the row of an account that this unit changes; its version goes up once, however much changes."""
        row = self.account(account)
        if row is None:
            row = self._accounts[account] = AccountRow(account, 0, 0, 0)
        if account not in self._changed:
            self._changed.add(account)
            row.version += 1
        return row

    def held(self, market_id: str, account: str, outcome_id: str) -> Held:
        """Return an account's contracts of one outcome."""
        key = (market_id, account, outcome_id)
        if key not in self._holdings:
            held = self._holdings[key] = self.tx.one(Held, "paper.holding", self.app, *key) or Held()
            self._stored[key] = _HELD(held)
        return self._holdings[key]

    def order(self, order: PaperOrder) -> PaperOrder:
        """Return the one copy of an order that this unit works on."""
        return self._orders.get(order.order_id, order)

    def leave(self) -> None:
        """Write back what changed, and one report a changed user's account."""
        for row in self._markets.values():
            if _MARKET(row) != self._stored.get(row.market_id):
                self.tx.run("paper.save_market", self.app, *_MARKET(row))
        for account in sorted(self._changed):
            changed = self._accounts[account]
            self.tx.run("paper.save_account", self.app, *_ACCOUNT(changed))
            if account.startswith("user/"):
                self.tx.run("paper.insert_report", self.app, account, changed.version)
        for key, held in self._holdings.items():
            if _HELD(held) != self._stored[key]:
                self.tx.run("paper.save_holding", self.app, *key, *_HELD(held))
        self.save_orders()

    def save_orders(self) -> None:
        """Write back the orders changed so far, so that statements about the book see them."""
        for order_id in self._unsaved:
            order = self._orders[order_id]
            if order_id in self._new:
                self.tx.run("paper.insert_order", *_ORDER(order))
            else:
                self.tx.run("paper.update_order", *_ORDER_CHANGE(order))
        self._new -= self._unsaved
        self._unsaved.clear()

    def changed_orders(self, account: str) -> list[PaperOrder]:
        """Return the orders of an account that this unit has changed, the oldest first."""
        return sorted((order for order in self._orders.values() if order.account == account), key=_rank)

    # ---- acts

    def deposit(self, account: str, transfer_id: str, amount: int) -> None:
        """Add money from outside, or take it away."""
        row = self.touch(account)
        row.cash += amount
        self.tx.run("paper.insert_transfer", self.app, account, row.version, transfer_id, amount, self.now)

    def rest(self, order: PaperOrder, market: MarketRow) -> None:
        """Take up an order: place its hold and give it its rank."""
        market.last_rank += 1
        order.rank = market.last_rank
        self._new.add(order.order_id)
        self._hold(order)

    def resting(self, taker: PaperOrder) -> Iterator[PaperOrder]:
        """Yield the other side of the book as far as it crosses, best first, read in small parts."""
        name = "paper.resting_asks" if taker.is_bid else "paper.resting_bids"
        price, rank = (-1, 0) if taker.is_bid else (ONE + 1, 0)
        while rows := self.tx.all(PaperOrder, name, self.app, taker.market_id, taker.yes_price, price, rank):
            yield from rows
            if len(rows) < _CHUNK:
                return
            price, rank = rows[-1].yes_price, rows[-1].rank

    def trade(self, taker: PaperOrder, match: Match, market: MarketRow) -> PaperOrder:
        """Fill both sides of a match, the taker paying the fee; return the maker's order as it then is."""
        maker = self.order(match.maker)
        market.pairs += book.new_pairs(taker, maker, match.size)
        taken, made = next(self._fill_ids), next(self._fill_ids)
        self._fill(taker, match, self.config.fee, taken, made)
        self._fill(maker, match, 0, made, taken)
        return maker

    def reopen(self, order: PaperOrder) -> None:
        """Put what is left of a finished order back to where it holds its means, for a fill that comes late."""
        order.state = "open"
        self._hold(order)

    def undo(self, order: PaperOrder, fill: FillRow) -> None:
        """Take one side of a fill back: a resting order rests on with more left, a finished one is canceled."""
        row, sign = self.touch(order.account), 1 if order.side == "buy" else -1
        held = self.held(order.market_id, order.account, order.outcome_id)
        order.filled -= fill.size
        if order.state != "open":
            order.reason = order.reason if order.state == "canceled" else "fill_reversed"
            order.state = "canceled"
        money, contracts = book.holds(order, self.config.fee) if order.state == "open" else (0, 0)
        row.cash += sign * book.exact(fill.price, fill.size) + fill.fee + order.money_held - money
        row.held += money - order.money_held
        held.free += order.contracts_held - contracts - sign * fill.size
        held.held += contracts - order.contracts_held
        order.money_held, order.contracts_held = money, contracts
        if fill.fee:
            self.touch(FEES).cash -= fill.fee
        self._keep(order)
        self.fills.append((order.account, fill._replace(reversed=1, at=self.now)))
        self.tx.run("paper.reverse_fill", fill.fill_id, self.now, row.version)

    def make_pairs(self, market: MarketRow, account: str) -> None:
        """Let an account buy pairs of YES and NO for a dollar each, as many as it lacks of either."""
        yes, no = (self.held(market.market_id, account, outcome) for outcome in (YES, NO))
        lacking = max(-yes.free, -no.free, 0)
        yes.free += lacking
        no.free += lacking
        self.touch(account).cash -= lacking
        market.pairs += lacking

    def end(self, order: PaperOrder, state: str, reason: str | None) -> None:
        """Take the rest of an order off the book and give back what it held."""
        row = self.touch(order.account)
        row.cash += order.money_held
        row.held -= order.money_held
        if order.contracts_held:
            held = self.held(order.market_id, order.account, order.outcome_id)
            held.free += order.contracts_held
            held.held -= order.contracts_held
        order.money_held = order.contracts_held = 0
        order.state = "expired" if state == "expired" else "canceled"
        order.reason = reason
        self._keep(order)

    def quote(self, spec: MarketSpec, market: MarketRow) -> None:
        """Let the house fill up its ladder: never across a resting order, never with money it has not."""
        house = house_account(spec.market_id)
        self._unmake_pairs(market, house)
        ladder = book.house_ladder(spec, self.config, market.reference)
        there = set()
        for stored in self.tx.all(PaperOrder, "paper.house_orders", self.app, spec.market_id, house):
            order = self.order(stored)
            if order.state != "open":
                continue
            if (order.is_bid, order.yes_price) in ladder:
                there.add((order.is_bid, order.yes_price))
            else:
                self.end(order, "canceled", "requoted")
        best_ask = self._best("paper.best_ask", spec.market_id) or ONE
        best_bid = self._best("paper.best_bid", spec.market_id) or 0
        for is_bid, yes_price in ladder:
            crossing = yes_price >= best_ask if is_bid else yes_price <= best_bid
            if (is_bid, yes_price) not in there and not crossing:
                self._quote_level(spec, market, house, is_bid, yes_price)

    # ---- the small parts

    def _quote_level(self, spec: MarketSpec, market: MarketRow, house: str, is_bid: int, yes_price: int) -> None:
        outcome = YES if is_bid else NO
        order = PaperOrder(
            order_id=new_id("pap", self.now),
            app=self.app,
            account=house,
            ref=None,
            market_id=spec.market_id,
            outcome_id=outcome,
            side="buy",
            price=book.own_price(outcome, yes_price),
            size=self.config.house_size,
            time_in_force="gtc",
            expires_at=None,
            post_only=1,
            filled=0,
            state="open",
            reason=None,
            is_bid=is_bid,
            yes_price=yes_price,
            rank=0,
            money_held=0,
            contracts_held=0,
            changed_at=self.now,
            version=0,
        )
        if book.holds(order, self.config.fee)[0] <= self.touch(house).cash:
            self.rest(order, market)

    def _best(self, name: str, market_id: str) -> int | None:
        return self.tx.one(_maybe, name, self.app, market_id)

    def _unmake_pairs(self, market: MarketRow, house: str) -> None:
        """Turn pairs of YES and NO that the house holds back into dollars."""
        yes, no = (self.held(market.market_id, house, outcome) for outcome in (YES, NO))
        if pairs := min(yes.free, no.free):
            row = self.touch(house)
            yes.free -= pairs
            no.free -= pairs
            row.cash += pairs
            market.pairs -= pairs

    def _hold(self, order: PaperOrder) -> None:
        row = self.touch(order.account)
        order.money_held, order.contracts_held = book.holds(order, self.config.fee)
        row.cash -= order.money_held
        row.held += order.money_held
        if order.contracts_held:
            held = self.held(order.market_id, order.account, order.outcome_id)
            held.free -= order.contracts_held
            held.held += order.contracts_held
        self._keep(order)

    def _fill(self, order: PaperOrder, match: Match, fee_rate: int, fill_id: str, other_fill: str) -> None:
        row = self.touch(order.account)
        price = book.own_price(order.outcome_id, match.yes_price)
        paid, fee = book.exact(price, match.size), book.exact(fee_rate, match.size)
        order.filled += match.size
        before = order.money_held
        order.money_held, order.contracts_held = book.holds(order, self.config.fee)
        row.held -= before - order.money_held
        row.cash += before - order.money_held - fee + (-paid if order.side == "buy" else paid)
        held = self.held(order.market_id, order.account, order.outcome_id)
        if order.side == "buy":
            held.free += match.size
        else:
            held.held -= match.size
        if fee:
            self.touch(FEES).cash += fee
        if not order.remaining:
            order.state = "filled"
        self._keep(order)
        fill = FillRow(fill_id, order.order_id, price, match.size, fee, 0, self.now, other_fill)
        self.fills.append((order.account, fill))
        self.tx.run("paper.insert_fill", self.app, order.account, row.version, *fill)

    def _keep(self, order: PaperOrder) -> None:
        order.version = self.touch(order.account).version
        order.changed_at = self.now
        self._orders[order.order_id] = order
        self._unsaved.add(order.order_id)


def _rank(order: PaperOrder) -> int:
    return order.rank


def _maybe(value: int | None) -> int | None:
    return value
