import asyncio
from typing import Any

import msgspec
import pytest

from oddswire.errors import Conflict, Denied, InvalidInput, Missing, Unavailable
from oddswire.events import OrderStatus
from oddswire.venues.base import Account
from oddswire.wire import bodies
from tests.orders.conftest import APP, Shop, steps

SEARCH: dict[str, Any] = {"venue": None, "client_order_id": "late", "cursor": None, "limit": 1}


async def test_a_new_user_s_deposit_is_booked_and_told_once(shop: Shop) -> None:
    await shop.desk.open_user(APP, "ann")
    told = await shop.events()
    assert [event.seq for event in told] == [1]
    assert await shop.balance() == (100_000, 100_000)


async def test_an_order_that_rests_is_answered_and_told(shop: Shop) -> None:
    placed = await shop.place(clientOrderId="one")
    assert (placed.outcome, placed.replay, placed.order.status) == ("taken", False, "open")
    assert steps(await shop.events()) == ["OrderSubmitted", "order_placed 99450"]
    assert placed.order.seq == 2
    assert await shop.balance() == (99_450, 100_000)
    assert len(await shop.events("bob")) == 1


async def test_an_order_that_fills_is_told_in_one_commit(shop: Shop) -> None:
    shop.venue.script = ["filled"]
    placed = await shop.place()
    assert (placed.order.status, placed.order.filled_amount_raw) == ("filled", "10000000")
    told = await shop.events()
    assert steps(told) == ["OrderSubmitted", "order_placed 99450", "filled", "HoldingUpdate", "fill 99450"]
    assert len({event.timestamp for event in told[1:]}) == 1
    holdings = await shop.view(lambda view: view.holdings(None))
    assert [(row.market_id, str(row.size), str(row.average_price)) for row in holdings.holdings] == [
        ("rain", "10", "0.55")
    ]
    fills = await shop.view(lambda view: view.fills(order_id=None, venue=None, cursor=None, limit=50))
    assert [(fill.order_id, str(fill.size)) for fill in fills.data] == [(placed.order.order_id, "10")]


async def test_a_rejected_order_is_stored_and_its_hold_never_told(shop: Shop) -> None:
    shop.venue.script = ["rejected"]
    placed = await shop.place()
    assert (placed.outcome, placed.order.status, placed.order.error_reason) == ("rejected", "rejected", "not_today")
    assert steps(await shop.events()) == ["rejected"]
    assert await shop.balance() == (100_000, 100_000)


async def test_a_repeat_gets_the_order_as_it_is_and_nothing_is_sent_twice(shop: Shop) -> None:
    first = await shop.place(clientOrderId="x")
    again = await shop.place(clientOrderId="x", price="0.550", size="10.0")
    assert again.replay
    assert again.order == first.order
    assert list(shop.venue.sent.values()) == [1]
    await shop.place(user="bob", clientOrderId="x")


async def test_a_repeat_waits_with_the_first(shop: Shop) -> None:
    shop.venue.script = ["waits"]
    both = [asyncio.create_task(shop.place(clientOrderId="x")) for _ in range(2)]
    async with asyncio.timeout(5):
        while not shop.venue.sent:
            await asyncio.sleep(0)
    assert not any(task.done() for task in both)
    shop.venue.release.set()
    first, second = await asyncio.gather(*both)
    assert sorted((first.replay, second.replay)) == [False, True]
    assert first.order == second.order


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcomeId", "no"),
        ("side", "sell"),
        ("price", 0.56),
        ("size", 11),
        ("timeInForce", "ioc"),
        ("postOnly", True),
    ],
)
async def test_a_repeat_that_differs_names_the_field(shop: Shop, field: str, value: object) -> None:
    await shop.place(clientOrderId="x")
    with pytest.raises(Conflict) as refused:
        await shop.place(change={"clientOrderId": "x", field: value})
    assert (refused.value.code, refused.value.path) == ("order_conflict", f"$.{field}")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"venue": "moon"}, "unknown_venue"),
        ({"marketId": "snow"}, "unknown_market"),
        ({"outcomeId": "maybe"}, "unknown_outcome"),
        ({"price": 0}, "price_out_of_range"),
        ({"price": 1}, "price_out_of_range"),
        ({"price": 0.555}, "price_off_tick"),
        ({"size": 0}, "size_too_small"),
        ({"size": 0.015}, "size_off_step"),
        ({"size": 1_000_001}, "size_too_large"),
        ({"size": 2000}, "insufficient_funds"),
        ({"side": "sell"}, "insufficient_holdings"),
        ({"timeInForce": "gtd"}, "expiry_invalid"),
        ({"timeInForce": "gtd", "expiresAt": 1}, "expiry_invalid"),
        ({"expiresAt": 99_999_999_999_999}, "expiry_invalid"),
        ({"timeInForce": "ioc", "postOnly": True}, "post_only_invalid"),
    ],
)
async def test_a_denied_order_stores_nothing_and_frees_its_id(shop: Shop, change: dict[str, object], code: str) -> None:
    with pytest.raises(Denied) as denied:
        await shop.place(change={"clientOrderId": "x", **change})
    assert denied.value.code == code
    assert len(await shop.events()) == 1
    assert shop.venue.sent == {}
    assert (await shop.place(clientOrderId="x")).outcome == "taken"


@pytest.mark.parametrize("amount", ['"NaN"', '"1_0"', "1e3000000", "0.0000001", "-1", "true", "null", "[]"])
async def test_what_is_no_amount_is_refused(shop: Shop, amount: str) -> None:
    body = (
        b'{"venue":"scripted","marketId":"rain","outcomeId":"yes","side":"buy","size":1,"price":'
        + amount.encode()
        + b"}"
    )
    with pytest.raises(InvalidInput) as refused:
        await shop.desk.place(APP, "ann", msgspec.json.decode(body, type=bodies.PlaceOrder))
    assert (refused.value.code, refused.value.path) == ("invalid_amount", "$.price")


async def test_pending_holds_count_in_the_funds_check_and_are_told_nowhere(shop: Shop) -> None:
    shop.venue.script = ["waits"]
    first = asyncio.create_task(shop.place(size=1000))
    async with asyncio.timeout(5):
        while not shop.venue.sent:
            await asyncio.sleep(0)
    assert await shop.balance() == (100_000, 100_000)
    with pytest.raises(Denied) as denied:
        await shop.place(size=1000)
    assert denied.value.code == "insufficient_funds"
    shop.venue.release.set()
    assert (await first).order.status == "open"
    assert await shop.balance() == (45_000, 100_000)


async def test_a_settlement_does_not_answer_an_order_that_is_on_its_way(shop: Shop) -> None:
    shop.venue.script = ["filled", "delayed"]
    await shop.place()
    call = asyncio.create_task(shop.place(change={"side": "sell"}, clientOrderId="late"))
    pending = frozenset[OrderStatus]()
    async with asyncio.timeout(5):
        while not (await shop.view(lambda view: view.orders(**SEARCH, statuses=pending))).data:
            await asyncio.sleep(0)
    shop.venue.settle(Account(APP, "ann"), 10_000_000)
    recorded = await shop.dispatch.record("scripted", await shop.venue.read(Account(APP, "ann"), None), "venue")
    assert [order.status for order in recorded.orders] == ["pending"]
    await asyncio.sleep(0)
    assert not call.done()
    shop.venue.release.set()
    assert (await call).order.status == "open"


async def test_a_caller_who_hangs_up_changes_nothing(shop: Shop) -> None:
    shop.venue.script = ["waits"]
    call = asyncio.create_task(shop.place(clientOrderId="x"))
    async with asyncio.timeout(5):
        while not shop.venue.sent:
            await asyncio.sleep(0)
    call.cancel()
    shop.venue.release.set()
    assert (await shop.place(clientOrderId="x")).order.status == "open"
    assert list(shop.venue.sent.values()) == [1]


async def test_a_cancel_is_taken_then_told(shop: Shop) -> None:
    placed = await shop.place()
    await shop.desk.cancel(APP, "ann", placed.order.order_id)
    await until(shop, "released 100000")
    assert steps(await shop.events())[2:] == ["canceled", "released 100000"]
    with pytest.raises(Conflict) as refused:
        await shop.desk.cancel(APP, "ann", placed.order.order_id)
    assert refused.value.code == "order_finished"


async def test_a_cancel_of_someone_else_s_order_finds_nothing(shop: Shop) -> None:
    placed = await shop.place()
    for user, order_id in (("bob", placed.order.order_id), ("ann", "ord_none"), ("nobody", placed.order.order_id)):
        with pytest.raises(Missing):
            await shop.desk.cancel(APP, user, order_id)


async def test_a_refused_cancel_is_told(shop: Shop) -> None:
    placed = await shop.place()
    shop.venue.refuse_cancels = True
    await shop.desk.cancel(APP, "ann", placed.order.order_id)
    await until(shop, "cancel_rejected")
    order = await shop.view(lambda view: view.order(placed.order.order_id))
    assert order.status == "open"


async def test_cancel_all_takes_what_matches(shop: Shop) -> None:
    placed = [await shop.place() for _ in range(3)]
    assert await shop.desk.cancel_all(APP, "bob", bodies.CancelAll(market_id="rain")) == []
    for wanted, code in (
        (bodies.CancelAll(market_id="snow"), "unknown_market"),
        (bodies.CancelAll(venue="moon"), "unknown_venue"),
    ):
        with pytest.raises(Denied) as refused:
            await shop.desk.cancel_all(APP, "ann", wanted)
        assert refused.value.code == code
    taken = await shop.desk.cancel_all(APP, "ann", bodies.CancelAll(venue="scripted"))
    assert sorted(taken) == sorted(one.order.order_id for one in placed)
    await until(shop, "released 100000")
    assert await shop.desk.cancel_all(APP, "ann", bodies.CancelAll()) == []


async def test_a_cancel_of_a_pending_order_is_kept_and_sent_once_the_venue_has_it(shop: Shop) -> None:
    shop.venue.script = ["waits"]
    call = asyncio.create_task(shop.place())
    async with asyncio.timeout(5):
        while not shop.venue.sent:
            await asyncio.sleep(0)
    await shop.desk.cancel(APP, "ann", next(iter(shop.venue.sent)))
    assert shop.venue.cancels == []
    shop.venue.release.set()
    await call
    await until(shop, "released 100000")


async def test_after_stop_nothing_is_taken(shop: Shop) -> None:
    await shop.desk.stop(1)
    with pytest.raises(Unavailable) as refused:
        await shop.place()
    assert refused.value.code == "draining"


async def until(shop: Shop, step: str) -> None:
    async with asyncio.timeout(5):
        while step not in steps(await shop.events()):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("sent", [False, True], ids=["before the intent is stored", "before the venue answers"])
async def test_who_is_gone_before_the_answer_changes_nothing_of_the_order(shop: Shop, sent: bool) -> None:
    await shop.place()
    shop.venue.script = ["waits"]
    caller = asyncio.create_task(shop.place(clientOrderId="late"))
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
        while sent and len(shop.venue.sent) == 1:
            await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    shop.venue.release.set()
    repeat = await shop.place(clientOrderId="late")
    assert (repeat.replay, repeat.outcome, list(shop.venue.sent.values())) == (True, "taken", [1, 1])


async def test_who_waits_for_a_silent_venue_when_the_desk_stops_is_told_that_the_order_is_taken(shop: Shop) -> None:
    shop.venue.script = ["waits"]
    caller = asyncio.create_task(shop.place())
    async with asyncio.timeout(5):
        while not shop.venue.sent:
            await asyncio.sleep(0)
    await shop.desk.stop(0.01)
    placed = await asyncio.wait_for(caller, 0.2)
    assert (placed.outcome, placed.order.status) == ("unconfirmed", "pending")
    with pytest.raises(Unavailable, match="going down"):
        await shop.place()
