"""A venue as everybody else sees it: it takes orders, and gives evidence of what became of them.

Nothing a venue says is an event. Its stream only wakes us (`Wake`); every answer and read is `Evidence`, which may come
late, twice or in any order, and is merged into our books by `orders`.
All money in millionths of a dollar, prices in millionths of a dollar a contract, sizes in millionths of a contract,
times in Unix epoch ms.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from oddswire.events import Side

TimeInForce = Literal["gtc", "ioc", "fok", "gtd"]
ReportState = Literal["open", "filled", "canceled", "expired"]
MarketStatus = Literal["open", "paused", "closed", "settled"]


class Account(Struct, frozen=True):
    """A user of an app, as an account at a venue."""

    app: str
    user: str


class OrderRequest(Struct, frozen=True):
    """What a venue is asked to do. `ref` is our order's id: the venue keeps it, and takes it once an account.

    `deadline` is when the request stops being valid: a venue that receives it later refuses it.
    """

    ref: str
    market_id: str
    outcome_id: str
    side: Side
    price: int
    size: int
    time_in_force: TimeInForce
    expires_at: int | None
    post_only: bool
    deadline: int


class OrderReport(Struct, frozen=True):
    """What the venue says of one order. `ref` is None for one that did not come through us."""

    venue_order_id: str
    ref: str | None
    market_id: str
    outcome_id: str
    side: Side
    price: int
    size: int
    time_in_force: TimeInForce
    expires_at: int | None
    post_only: bool
    filled: int
    state: ReportState
    reason: str | None
    venue_timestamp: int


class FillReport(Struct, frozen=True):
    """One fill. `fill_id` is the venue's, one fill an order and id; `reversed` undoes it, also one not told before."""

    fill_id: str
    venue_order_id: str
    price: int
    size: int
    fee: int
    reversed: bool
    venue_timestamp: int


class TransferReport(Struct, frozen=True):
    """Money that came (`amount` above 0) or went without an order."""

    transfer_id: str
    amount: int
    venue_timestamp: int


class SettlementReport(Struct, frozen=True):
    """A market paid out: all holdings of it are gone, `payout` has been credited, `winner` is the outcome's id."""

    settlement_id: str
    market_id: str
    winner: str
    payout: int
    venue_timestamp: int


class Evidence(Struct, frozen=True):
    """What a venue said of one account, in one answer.

    `cursor` says how far this account had come at the venue, `previous` how far it had come before what this answer
    tells: evidence whose `previous` is the cursor we hold leaves no gap. A venue without such a thing gives None twice.
    `as_of` (venue's time, ms) is how fresh it is: an order placed and acknowledged before it would be in it.
    `wallet` is the settled money at that moment, None where the venue did not say. A fact may be in it twice.
    """

    account: Account
    as_of: int
    previous: int | None = None
    cursor: int | None = None
    orders: tuple[OrderReport, ...] = ()
    fills: tuple[FillReport, ...] = ()
    transfers: tuple[TransferReport, ...] = ()
    settlements: tuple[SettlementReport, ...] = ()
    wallet: int | None = None


class OutcomeQuote(Struct, frozen=True):
    """One outcome of a market and its best prices, None where nobody quotes."""

    outcome_id: str
    title: str
    best_bid: int | None
    best_ask: int | None


class Market(Struct, frozen=True):
    """What can be traded, and in which steps. `fee` is the most the venue may charge a contract."""

    market_id: str
    title: str
    status: MarketStatus
    tick: int
    size_step: int
    min_size: int
    max_size: int
    fee: int
    outcomes: tuple[OutcomeQuote, ...]
    winner: str | None = None


class Wake(Struct, frozen=True):
    """A venue's stream said something: read `account` again (None: anything may have been missed, read them all).

    `cursor` is how far the account has come there: nothing to read if we are as far.
    """

    account: Account | None = None
    cursor: int | None = None
    markets: bool = False


class VenueRejected(Exception):
    """The venue said no. `code` is its word in `snake_case`, the text its reason for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class NoAnswer(Exception):
    """Nobody knows whether the venue did it: a lost connection, a time-out, a server error."""


class Venue(Protocol):
    """One venue. Every call may raise `NoAnswer`; a call that is cancelled may or may not have been done."""

    @property
    def name(self) -> str:
        """Its name on the wire, such as `paper`."""
        ...

    @property
    def signature_window(self) -> int:
        """How long after an `OrderRequest.deadline` (ms) a request on its way may still be taken."""
        ...

    async def open_account(self, account: Account) -> Evidence:
        """Make sure the account exists; return what it holds from its beginning. May be repeated."""
        ...

    async def place(self, account: Account, request: OrderRequest) -> Evidence:
        """Send an order; return evidence that has its report and any fills of it.

        Raises:
            VenueRejected: it was not taken, and never will be.
        """
        ...

    async def cancel(self, account: Account, venue_order_id: str) -> Evidence:
        """Take the rest of an order off the book; return evidence with its report. May be repeated.

        Raises:
            VenueRejected: the order is not resting any more (`order_finished`), or may not be canceled now.
        """
        ...

    async def find(self, account: Account, ref: str) -> Evidence:
        """Return evidence with the order that carries our `ref` and its fills, or with no order at all."""
        ...

    async def read(self, account: Account, after: int | None) -> Evidence:
        """Return all that changed after the cursor `after` (None: all there is), with the wallet."""
        ...

    async def markets(self, app: str, after: str | None, limit: int) -> Sequence[Market]:
        """Return up to `limit` markets whose id is above `after`, in ascending id."""
        ...

    async def market(self, app: str, market_id: str) -> Market | None:
        """Return one market, None where there is none."""
        ...

    def wakes(self) -> AsyncIterator[Wake]:
        """Yield what the venue's stream says until cancelled; starts with `Wake()` and after every reconnect."""
        ...
