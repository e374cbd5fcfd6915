"""A venue that does as it is told: for tests of what we do when a venue answers late, never, twice or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from oddswire.venues.base import (
    Account,
    Evidence,
    FillReport,
    Market,
    NoAnswer,
    OrderReport,
    OrderRequest,
    OutcomeQuote,
    SettlementReport,
    TransferReport,
    VenueRejected,
    Wake,
)

Answer = Literal["open", "filled", "rejected", "lost_before", "lost_after", "waits", "delayed"]


@dataclass(slots=True)
class _Books:
    """One account there; each fact with the cursor at which it happened."""

    cursor: int = 0
    orders: dict[str, tuple[int, OrderReport]] = field(default_factory=dict)
    fills: list[tuple[int, FillReport]] = field(default_factory=list)
    transfers: list[tuple[int, TransferReport]] = field(default_factory=list)
    settlements: list[tuple[int, SettlementReport]] = field(default_factory=list)


class ScriptedVenue:
    """A venue whose every answer is chosen beforehand: put `Answer`s into `script`; without one an order rests.

    `filled` fills whole at its price. `lost_before` loses the request, `lost_after` takes the order and loses the
    answer, `waits` takes it and answers once `release` is set, `delayed` takes it only then. `sent` counts what has
    arrived, by our ref; `reads` and `finds` count what was asked by `read` and `find`, answered or not.
    """

    name = "scripted"
    signature_window = 0

    def __init__(self, now: Callable[[], int], deposit: int = 1_000_000_000) -> None:
        self._now = now
        self._deposit = deposit
        self._accounts: dict[Account, _Books] = {}
        self._wakes: asyncio.Queue[Wake] = asyncio.Queue()
        self.script: list[Answer] = []
        self.sent: dict[str, int] = {}
        self.cancels: list[str] = []
        self.reads = 0
        self.finds = 0
        self.release = asyncio.Event()
        self.refuse_cancels = False
        self.silent = False
        self.market_status: Literal["open", "paused"] = "open"

    async def open_account(self, account: Account) -> Evidence:
        """Open it with the deposit."""
        books = self._accounts.setdefault(account, _Books())
        if not books.transfers:
            books.cursor += 1
            books.transfers.append((books.cursor, TransferReport("opening", self._deposit, self._now())))
        return self._since(account, 0)

    async def place(self, account: Account, request: OrderRequest) -> Evidence:
        """Do what the script says next."""
        answer = self.script.pop(0) if self.script else "open"
        if answer == "lost_before":
            raise NoAnswer("the line is down")
        if answer == "delayed":
            await self.release.wait()
        self.sent[request.ref] = self.sent.get(request.ref, 0) + 1
        if answer == "rejected":
            raise VenueRejected("not_today", "The script says so.")
        before = self._accounts[account].cursor
        self.take(account, request)
        if answer == "filled":
            self.fill(account, request.ref, request.size)
        if answer == "lost_after":
            raise NoAnswer("the line went down")
        if answer == "waits":
            await self.release.wait()
        return self._since(account, before)

    async def cancel(self, account: Account, venue_order_id: str) -> Evidence:
        """Cancel it unless told to refuse."""
        self.cancels.append(venue_order_id)
        if self.refuse_cancels:
            raise VenueRejected("cancels_halted", "The script says so.")
        before = self._accounts[account].cursor
        self.end(account, venue_order_id.removeprefix("v-"), "canceled")
        return self._since(account, before)

    async def find(self, account: Account, ref: str) -> Evidence:
        """Look an order up."""
        self.finds += 1
        if self.silent:
            raise NoAnswer("silent")
        found = self._since(account, 0)
        orders = tuple(report for report in found.orders if report.ref == ref)
        fills = tuple(fill for fill in found.fills if fill.venue_order_id == f"v-{ref}")
        return Evidence(account, self._now(), orders=orders, fills=fills)

    async def read(self, account: Account, after: int | None) -> Evidence:
        """Return all that happened after a cursor."""
        self.reads += 1
        if self.silent:
            raise NoAnswer("silent")
        return self._since(account, after or 0)

    async def markets(self, app: str, after: str | None, limit: int) -> Sequence[Market]:
        """Return the one market."""
        market = await self.market(app, "rain")
        return [market] if market is not None and limit and (after or "") < "rain" else []

    async def market(self, app: str, market_id: str) -> Market | None:
        """Return the one market: `rain`, ticks of a cent, steps of a hundredth."""
        if market_id != "rain" or not app:
            return None
        outcomes = tuple(OutcomeQuote(name, name.title(), None, None) for name in ("yes", "no"))
        steps = (10_000, 10_000, 10_000, 10**12)
        return Market("rain", "Rain?", self.market_status, *steps, 0, outcomes)

    async def wakes(self) -> AsyncIterator[Wake]:
        """Say what `tell` was given."""
        yield Wake()
        while True:
            yield await self._wakes.get()

    # ---- what the test does to it

    def tell(self, wake: Wake) -> None:
        """Let its stream say something."""
        self._wakes.put_nowait(wake)

    def take(self, account: Account, request: OrderRequest) -> None:
        """Let an order rest, as if it had arrived."""
        books = self._accounts[account]
        books.cursor += 1
        report = OrderReport(
            venue_order_id=f"v-{request.ref}",
            ref=request.ref,
            market_id=request.market_id,
            outcome_id=request.outcome_id,
            side=request.side,
            price=request.price,
            size=request.size,
            time_in_force=request.time_in_force,
            expires_at=request.expires_at,
            post_only=request.post_only,
            filled=0,
            state="open",
            reason=None,
            venue_timestamp=self._now(),
        )
        books.orders[request.ref] = (books.cursor, report)

    def fill(self, account: Account, ref: str, size: int, price: int | None = None, fee: int = 0) -> FillReport:
        """Fill an order that has arrived, even one that is canceled."""
        books = self._accounts[account]
        books.cursor += 1
        _, report = books.orders[ref]
        filled = report.filled + size
        state = "filled" if filled >= report.size else report.state
        books.orders[ref] = (books.cursor, replace(report, filled=filled, state=state))
        fill_id = f"f{books.cursor}"
        fill = FillReport(fill_id, report.venue_order_id, price or report.price, size, fee, False, self._now())
        books.fills.append((books.cursor, fill))
        return fill

    def undo(self, account: Account, ref: str, fill: FillReport) -> None:
        """Take a fill back; the order is canceled with it."""
        books = self._accounts[account]
        books.cursor += 1
        _, report = books.orders[ref]
        books.orders[ref] = (books.cursor, replace(report, filled=report.filled - fill.size, state="canceled"))
        books.fills.append((books.cursor, replace(fill, reversed=True)))

    def end(self, account: Account, ref: str, state: Literal["canceled", "expired"]) -> None:
        """Take the rest of an order off the book."""
        books = self._accounts[account]
        books.cursor += 1
        _, report = books.orders[ref]
        books.orders[ref] = (books.cursor, replace(report, state=state))

    def settle(self, account: Account, payout: int) -> None:
        """Let `rain` pay out."""
        books = self._accounts[account]
        books.cursor += 1
        books.settlements.append((books.cursor, SettlementReport("rain", "rain", "yes", payout, self._now())))

    def _since(self, account: Account, after: int) -> Evidence:
        books = self._accounts[account]
        return Evidence(
            account=account,
            as_of=self._now(),
            previous=after,
            cursor=books.cursor,
            orders=tuple(report for at, report in books.orders.values() if at > after),
            fills=tuple(fill for at, fill in books.fills if at > after),
            transfers=tuple(one for at, one in books.transfers if at > after),
            settlements=tuple(one for at, one in books.settlements if at > after),
        )
