"""A fill that is taken back takes its cost with it: the average price of a holding is that of the fills that stand."""

import random

import pytest

from oddswire.events import HoldingUpdate
from oddswire.venues.base import Account, FillReport
from tests.orders.conftest import APP, Shop

ANN = Account(APP, "ann")
ONE = 1_000_000


class Trader:
    """Ann, who trades at the scripted venue; everything is recorded at once."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def trade(self, said: str, *, record: bool = True) -> tuple[str, FillReport]:
        """Trade `buy 10@0.40`; return the order and its fill."""
        side, terms = said.split()
        size, price = terms.split("@")
        placed = await self.shop.place(side=side, price=price, size=size)
        ref = placed.order.order_id
        fill = self.shop.venue.fill(ANN, ref, round(float(size) * ONE))
        if record:
            await self.record()
        return ref, fill

    async def take_back(self, ref: str, fill: FillReport) -> None:
        self.shop.venue.undo(ANN, ref, fill)
        await self.record()

    async def record(self) -> None:
        await self.shop.dispatch.record("scripted", await self.shop.venue.read(ANN, None), "venue")

    async def holding(self) -> list[tuple[str, str]]:
        """Return size and average price as REST tells them; the newest event has to tell the same."""
        rows = (await self.shop.view(lambda view: view.holdings(None))).holdings
        told = [event for event in await self.shop.events() if isinstance(event, HoldingUpdate)]
        for row in rows:
            assert (row.size, row.average_price) == (told[-1].size, told[-1].average_price)
        return [(str(row.size), str(row.average_price)) for row in rows]


@pytest.fixture
def ann(shop: Shop) -> Trader:
    return Trader(shop)


@pytest.mark.parametrize(
    ("trades", "undone", "left"),
    [
        (["buy 10@0.40"], 0, []),
        (["buy 10@0.40", "buy 10@0.60"], 1, [("10", "0.4")]),
        (["buy 10@0.40", "buy 10@0.60"], 0, [("10", "0.6")]),
        (["buy 10@0.40", "buy 10@0.60", "sell 5@0.90"], 1, [("5", "0.4")]),
        # no average that sells have thinned could give its cost back: 15 at 0.50 less 10 at 0.90 is below nothing
        (["buy 10@0.10", "buy 10@0.90", "sell 5@0.90"], 1, [("5", "0.1")]),
        (["buy 10@0.40", "sell 10@0.90"], 1, [("10", "0.4")]),
        (["buy 10@0.40", "buy 10@0.60", "sell 5@0.90"], 2, [("20", "0.5")]),
        # contracts that come back have the cost they had when they were sold
        (["buy 10@0.40", "sell 10@0.90", "buy 10@0.60"], 1, [("20", "0.5")]),
        (["buy 10@0.40", "sell 10@0.90", "buy 10@0.60"], 2, []),
    ],
)
async def test_the_price_is_as_if_the_fill_had_never_been(
    ann: Trader, trades: list[str], undone: int, left: list[tuple[str, str]]
) -> None:
    made = [await ann.trade(said) for said in trades]
    await ann.take_back(*made[undone])
    assert await ann.holding() == left


async def test_a_fill_heard_of_together_with_the_reversal_of_another_counts(ann: Trader) -> None:
    first = await ann.trade("buy 10@0.40")
    await ann.trade("buy 30@0.20", record=False)
    await ann.take_back(*first)
    assert await ann.holding() == [("30", "0.2")]


@pytest.mark.parametrize("seed", range(4))
async def test_a_buy_and_its_reversal_leave_the_holding_exactly_as_it_was(ann: Trader, seed: int) -> None:
    chance, size = random.Random(seed), 0.0
    for _ in range(8):
        amount = chance.randint(1, 999) / 100
        side = "sell" if amount <= size and chance.random() < 0.5 else "buy"
        size = round(size + (amount if side == "buy" else -amount), 2)
        await ann.trade(f"{side} {amount}@0.{chance.randint(10, 99)}")
    before = await ann.holding()
    await ann.take_back(*await ann.trade("buy 900@0.33"))
    assert await ann.holding() == before
