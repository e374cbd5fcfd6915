"""The average price of a holding: what the contracts cost that are in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire.events import Side
from oddswire.ledger.books import Trade, average_of

CENT = 10_000
ONE = 1_000_000


def trades(said: str) -> list[Trade]:
    """Read `buy 10@0.40, sell 5@0.90`."""
    read = []
    for word in said.split(", "):
        side, terms = word.split()
        size, price = terms.split("@")
        read.append(Trade("buy" if side == "buy" else "sell", round(float(price) * 100) * CENT, int(size) * ONE))
    return read


@pytest.mark.parametrize(
    ("said", "cents"),
    [
        ("buy 10@0.40", 40),
        ("buy 10@0.40, buy 10@0.60", 50),
        ("buy 10@0.40, buy 30@0.60", 55),
        ("buy 10@0.40, sell 5@0.90", 40),
        ("buy 10@0.40, buy 10@0.60, sell 15@0.10", 50),
        ("buy 10@0.40, sell 10@0.90, buy 4@0.20", 20),
        ("buy 10@0.40, sell 10@0.90", 40),
        # contracts that are owed, because a buy was reversed after they were sold, have no cost
        ("sell 10@0.90, buy 20@0.60", 60),
        ("sell 10@0.90, buy 4@0.60", 0),
        ("sell 10@0.90, buy 4@0.60, buy 10@0.20", 20),
    ],
)
def test_buys_join_their_cost_and_sells_change_nothing(said: str, cents: int) -> None:
    assert average_of(trades(said)) == cents * CENT


SIDES: tuple[Side, ...] = ("buy", "sell")
SOME = st.builds(
    Trade, st.sampled_from(SIDES), st.integers(1, 99).map(lambda cents: cents * CENT), st.integers(1, 10**9)
)


@given(st.lists(SOME, max_size=30), st.integers(1, 10**9))
def test_an_average_price_is_a_price_that_was_paid_or_lies_between(before: list[Trade], size: int) -> None:
    bought = [trade.price for trade in before if trade.side == "buy"]
    average = average_of(before)
    assert average == 0 or min(bought) <= average <= max(bought)
    assert average_of([*before, Trade("sell", CENT, size)]) == average
