"""Entries and postings: every change of money or contracts, as data whose sum is zero.

An entry belongs to one user at one venue. `CASH` and `FREE` are what the user may use, `HELD` what unfinished orders
hold, `VENUE` the other side of every trade, `FEES` what the venue charged, `OUTSIDE` where deposits come from.
Amounts are millionths of a dollar for the asset `usd`, millionths of a contract for `<market>/<outcome>`.
"""

from typing import Literal, NamedTuple

USD = "usd"
CASH = "cash"
FREE = "free"
HELD = "held"
VENUE = "venue"
FEES = "fees"
OUTSIDE = "outside"

Kind = Literal["hold", "release", "fill", "reversal", "transfer", "settlement", "correction"]


class Posting(NamedTuple):
    """One line: `amount` (debit above 0, credit below) of `asset` on `account`."""

    account: str
    asset: str
    amount: int


class Entry(NamedTuple):
    """A balanced set of postings. `reference` is what it books; one entry a kind and reference, ever."""

    kind: Kind
    reference: str
    postings: tuple[Posting, ...]

    @property
    def entry_id(self) -> str:
        """Its key: the same fact can be booked once."""
        return f"{self.kind}:{self.reference}"


def contracts(market_id: str, outcome_id: str) -> str:
    """Return the asset that contracts of one outcome are."""
    return f"{market_id}/{outcome_id}"


def make_entry(kind: Kind, reference: str, *postings: Posting) -> Entry:
    """Return an entry of the postings that are not zero.

    Raises:
        ValueError: the postings of some asset do not sum to zero.
    """
    sums: dict[str, int] = {}
    for posting in postings:
        sums[posting.asset] = sums.get(posting.asset, 0) + posting.amount
    if any(sums.values()):
        raise ValueError(f"entry {kind}:{reference} does not balance: {sums}")
    return Entry(kind, reference, tuple(posting for posting in postings if posting.amount))
