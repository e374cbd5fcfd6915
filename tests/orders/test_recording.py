"""Evidence that tells twice, too late or too little is merged by what it says, not by when it comes."""

import pytest
from msgspec.structs import replace

from oddswire.orders.order import Order
from oddswire.venues.base import Account, Evidence
from tests.orders.conftest import APP, Shop, steps

ANN = Account(APP, "ann")


async def record(shop: Shop, *answers: Evidence) -> None:
    for evidence in answers:
        await shop.dispatch.record("scripted", evidence, "venue")


async def status(shop: Shop, ref: str) -> tuple[str, str]:
    order = await shop.view(lambda view: view.order(ref))
    return order.status, order.filled_amount_raw


def twice(evidence: Evidence) -> Evidence:
    return replace(
        evidence,
        orders=evidence.orders * 2,
        fills=evidence.fills * 2,
        transfers=evidence.transfers * 2,
        settlements=evidence.settlements * 2,
    )


async def test_what_one_answer_tells_twice_is_booked_once(shop: Shop) -> None:
    placed = await shop.place()
    shop.venue.fill(ANN, placed.order.order_id, 4_000_000)
    shop.venue.settle(ANN, 4_000_000)
    await record(shop, twice(await shop.venue.read(ANN, 1)))
    assert steps(await shop.events())[2:] == ["partially_filled", "MarketSettled", "settlement 99850"]
    assert await shop.balance() == (99_850, 100_180)


async def test_an_opening_told_twice_is_one_deposit(shop: Shop) -> None:
    opening = await shop.venue.open_account(Account(APP, "cy"))
    await record(shop, twice(opening))
    assert await shop.balance("cy") == (100_000, 100_000)


async def test_a_fill_and_its_reversal_in_one_answer_are_both_told(shop: Shop) -> None:
    placed = await shop.place()
    ref = placed.order.order_id
    fill = shop.venue.fill(ANN, ref, 10_000_000)
    shop.venue.undo(ANN, ref, fill)
    await record(shop, await shop.venue.read(ANN, None))
    assert steps(await shop.events())[2:] == ["filled", "reversed", "correction 100000"]
    assert await status(shop, ref) == ("canceled", "0")


async def test_a_fill_first_heard_of_as_reversed_is_not_booked_by_what_comes_late(shop: Shop) -> None:
    placed = await shop.place()
    ref = placed.order.order_id
    fill = shop.venue.fill(ANN, ref, 10_000_000)
    late = await shop.venue.read(ANN, None)
    shop.venue.undo(ANN, ref, fill)
    newest = await shop.venue.read(ANN, late.cursor)
    await record(shop, newest, late)
    assert await status(shop, ref) == ("canceled", "0")
    assert await shop.balance() == (100_000, 100_000)
    [told] = (await shop.view(lambda view: view.fills(order_id=ref, venue=None, cursor=None, limit=9))).data
    assert told.reversed


async def test_a_reversal_told_late_leaves_an_order_ended_that_rested_then(shop: Shop) -> None:
    placed = await shop.place()
    ref = placed.order.order_id
    fill = shop.venue.fill(ANN, ref, 4_000_000)
    await record(shop, await shop.venue.read(ANN, None))
    shop.venue.undo(ANN, ref, fill)
    reversal = await shop.venue.read(ANN, 3)
    resting = replace(reversal, orders=(replace(reversal.orders[0], state="open"),))
    shop.venue.end(ANN, ref, "expired")
    await record(shop, await shop.venue.read(ANN, 4), resting)
    assert steps(await shop.events())[-3:] == ["reversed", "HoldingUpdate", "correction 100000"]
    assert await status(shop, ref) == ("expired", "0")


async def test_a_reversal_and_the_end_in_one_answer_are_told_in_that_order(shop: Shop) -> None:
    placed = await shop.place()
    ref = placed.order.order_id
    fill = shop.venue.fill(ANN, ref, 4_000_000)
    await record(shop, await shop.venue.read(ANN, None))
    await shop.store.write(lambda tx: tx.run("orders.want_cancel", ref, 1))
    shop.venue.undo(ANN, ref, fill)
    await record(shop, await shop.venue.read(ANN, 3))
    assert steps(await shop.events())[5:] == ["reversed", "canceled", "HoldingUpdate", "released 100000"]
    assert await shop.store.read(lambda tx: tx.all(Order, "orders.cancel_wanted", "", "scripted", 9)) == []
    assert await shop.balance() == (100_000, 100_000)


async def test_an_order_filled_by_others_stays_filled_when_a_fill_is_taken_back(shop: Shop) -> None:
    placed = await shop.place()
    ref = placed.order.order_id
    first = shop.venue.fill(ANN, ref, 4_000_000)
    await record(shop, await shop.venue.read(ANN, None))
    shop.venue.undo(ANN, ref, first)
    reversal = await shop.venue.read(ANN, 3)
    shop.venue.fill(ANN, ref, 10_000_000)
    await record(shop, await shop.venue.read(ANN, 4), reversal)
    assert await status(shop, ref) == ("filled", "10000000")
    assert await shop.balance() == (99_450, 99_450)


@pytest.mark.parametrize("overtaken", [False, True])
async def test_only_a_wallet_looked_up_after_our_newest_event_corrects_us(shop: Shop, overtaken: bool) -> None:
    placed = await shop.place()
    before = await shop.venue.read(ANN, 2)
    last = (await shop.events())[-1].timestamp
    shop.venue.fill(ANN, placed.order.order_id, 10_000_000)
    if overtaken:
        # an answer with a gap before it: what it tells is booked, the cursor stays
        await record(shop, replace(await shop.venue.read(ANN, 2), previous=9, cursor=10))
        as_of = last
    else:
        as_of = last + 1
    await record(shop, replace(before, as_of=as_of, wallet=1_000_010_000))
    expected = (99_450, 99_450) if overtaken else (99_451, 100_001)
    assert await shop.balance() == expected
