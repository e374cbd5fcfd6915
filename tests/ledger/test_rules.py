"""The entries, as a bookkeeper reads them: account, asset, amount."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire.events import Side
from oddswire.ledger import rules
from oddswire.ledger.books import Balance, Books, Holding
from oddswire.ledger.entries import Entry, Posting, make_entry

DOLLAR = 1_000_000
YES = "rain/yes"
CASES: list[tuple[str, Entry, list[tuple[str, str, int]]]] = [
    (
        "10 YES at 0.55 hold 5.50",
        rules.hold("o", "rain", "yes", 5_500_000, 0),
        [("cash", "usd", -5_500_000), ("held", "usd", 5_500_000)],
    ),
    (
        "a sell of 10 holds the contracts",
        rules.hold("o", "rain", "yes", 0, 10 * DOLLAR),
        [("free", YES, -10 * DOLLAR), ("held", YES, 10 * DOLLAR)],
    ),
    (
        "4 of the 10 fill at 0.50: 2.20 captured, 2.00 paid, 0.20 comes back",
        rules.fill("f", "rain", "yes", "buy", 500_000, 4 * DOLLAR, 0, 2_200_000, 0),
        [("held", "usd", -2_200_000), ("cash", "usd", 200_000), ("venue", "usd", 2_000_000)]
        + [("free", YES, 4 * DOLLAR), ("venue", YES, -4 * DOLLAR)],
    ),
    (
        "a sale of 4 at 0.60 with a fee of 0.08",
        rules.fill("f", "rain", "yes", "sell", 600_000, 4 * DOLLAR, 80_000, 0, 4 * DOLLAR),
        [("cash", "usd", 2_320_000), ("venue", "usd", -2_400_000), ("fees", "usd", 80_000)]
        + [("held", YES, -4 * DOLLAR), ("venue", YES, 4 * DOLLAR)],
    ),
    (
        "the rest is canceled",
        rules.release("o", "rain", "yes", 3_300_000, 0),
        [("cash", "usd", 3_300_000), ("held", "usd", -3_300_000)],
    ),
    (
        "a deposit",
        rules.transfer("t", 1000 * DOLLAR),
        [("outside", "usd", -1000 * DOLLAR), ("cash", "usd", 1000 * DOLLAR)],
    ),
    (
        "YES won: 4 contracts pay 4.00",
        rules.settlement("s", 4 * DOLLAR, [(YES, 3 * DOLLAR, 1 * DOLLAR)]),
        [("venue", "usd", -4 * DOLLAR), ("cash", "usd", 4 * DOLLAR)]
        + [("free", YES, -3 * DOLLAR), ("held", YES, -1 * DOLLAR), ("venue", YES, 4 * DOLLAR)],
    ),
]


@pytest.mark.parametrize(("what", "entry", "lines"), CASES, ids=[case[0] for case in CASES])
def test_an_entry_says_what_happened(what: str, entry: Entry, lines: list[tuple[str, str, int]]) -> None:
    assert sorted(entry.postings) == sorted(Posting(*line) for line in lines)


def test_postings_that_do_not_sum_to_zero_are_no_entry() -> None:
    with pytest.raises(ValueError, match="does not balance"):
        make_entry("transfer", "t", Posting("cash", "usd", 1))
    with pytest.raises(ValueError, match="does not balance"):
        make_entry("transfer", "t", Posting("cash", "usd", 1), Posting("venue", YES, -1))


@pytest.mark.parametrize(
    ("side", "price", "size", "fee", "held"),
    [
        ("buy", 550_000, 10 * DOLLAR, 0, 5_500_000),
        ("buy", 550_000, 10 * DOLLAR, 20_000, 5_700_000),
        ("sell", 550_000, 10 * DOLLAR, 20_000, 0),
        ("sell", 10_000, 10 * DOLLAR, 20_000, 100_000),
    ],
)
def test_what_an_order_holds_in_money(side: str, price: int, size: int, fee: int, held: int) -> None:
    assert rules.money_hold("buy" if side == "buy" else "sell", price, size, fee) == held


@given(st.integers(1, 99), st.integers(1, 10**6), st.integers(0, 100), st.data())
def test_a_reversed_fill_leaves_the_books_as_they_were(cents: int, size: int, fee: int, data: st.DataObject) -> None:
    side: Side = data.draw(st.sampled_from(("buy", "sell")))
    captured = data.draw(st.integers(0, 10**9)), data.draw(st.integers(0, 10**9))
    books = Books(Balance(cash=10**12, held=10**12), {YES: Holding("rain", "yes", 10**12, 10**12)})
    for book in (rules.fill, rules.reversal):
        books.post(book("f", "rain", "yes", side, cents * 10_000, size, fee, *captured))
    balance, holding = books.balance, books.holdings[YES]
    assert (balance.cash, balance.held, holding.free, holding.held) == (10**12,) * 4
