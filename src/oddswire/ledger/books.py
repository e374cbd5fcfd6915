"""One user's books at one venue: a balance and holdings, changed by entries only."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from oddswire import money
from oddswire.events import Side
from oddswire.ledger.entries import CASH, FREE, HELD, USD, Entry, contracts


class Balance(Struct):
    """Money in millionths of a dollar. `untold` is the part of `held` that no event has told yet."""

    cash: int = 0
    held: int = 0
    untold: int = 0
    timestamp: int = 0
    seq: int = 0

    @property
    def wallet(self) -> int:
        """Settled money the user has at the venue."""
        return self.cash + self.held

    @property
    def trading(self) -> int:
        """What the user has been told can be spent on a new order."""
        return self.cash + self.untold


class Holding(Struct):
    """Contracts of one outcome in millionths; `average_price` is cost without fees a contract, in millionths."""

    market_id: str
    outcome_id: str
    free: int = 0
    held: int = 0
    untold: int = 0
    average_price: int = 0
    timestamp: int = 0
    seq: int = 0

    @property
    def size(self) -> int:
        """Contracts owned."""
        return self.free + self.held

    @property
    def available(self) -> int:
        """What the user has been told can be sold."""
        return self.free + self.untold


@dataclass(slots=True)
class Books:
    """A balance, the holdings an entry may touch, and the entries posted since the books were opened."""

    balance: Balance
    holdings: dict[str, Holding] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    touched: dict[str, Holding] = field(default_factory=dict)

    def holding(self, market_id: str, outcome_id: str) -> Holding:
        """Return the holding of an outcome, an empty one where the user has never had it."""
        asset = contracts(market_id, outcome_id)
        if asset not in self.holdings:
            self.holdings[asset] = Holding(market_id, outcome_id)
        return self.holdings[asset]

    def post(self, entry: Entry) -> None:
        """Apply an entry to balance and holdings, and keep it to be stored.

        Raises:
            KeyError: it moves contracts of a holding that these books have not opened.
        """
        for account, asset, amount in entry.postings:
            if asset == USD:
                if account == CASH:
                    self.balance.cash += amount
                elif account == HELD:
                    self.balance.held += amount
            elif account in (FREE, HELD):
                holding = self.holdings[asset]
                if account == FREE:
                    holding.free += amount
                else:
                    holding.held += amount
                self.touched[asset] = holding
        self.entries.append(entry)


class Trade(NamedTuple):
    """What of a fill the average price depends on: dollars a contract and contracts, both in millionths."""

    side: Side
    price: int
    size: int


def joined_average(average: int, size: int, trade: Trade) -> int:
    """Return the average price of a holding of `size` after a trade: a buy joins its cost, a sell changes nothing.

    Contracts that are owed (`size` below 0) have no cost.
    """
    if trade.side == "sell" or size + trade.size <= 0:
        return average
    return money.average_price(average, max(size, 0), trade.price, trade.size)


def average_of(trades: Iterable[Trade]) -> int:
    """Return the average price that these trades come to, in their order, beginning with nothing held.

    A fill that was reversed is left out of them: its cost cannot be taken out of an average that sells have thinned.
    """
    average = size = 0
    for trade in trades:
        average = joined_average(average, size, trade)
        size += trade.size if trade.side == "buy" else -trade.size
    return average
