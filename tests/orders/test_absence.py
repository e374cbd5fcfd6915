"""What a session has open, canceled because the session stays away."""

import asyncio
from operator import methodcaller
from typing import Any

import pytest
from msgspec import UNSET

from oddswire.errors import Unavailable
from oddswire.events import OrderEvent
from oddswire.store.base import Tx
from oddswire.streams.countdown import Absent
from oddswire.wire import bodies
from tests.orders.conftest import APP, Shop

GONE_AT = 1_700_000_000_000
ABSENT = Absent(APP, "ann", "s1", GONE_AT)


async def arm(shop: Shop, gone_at: int | None = GONE_AT, who: Absent = ABSENT) -> None:
    def unit(tx: Tx) -> None:
        tx.run("disconnects.arm", who.session_id, who.app_id, who.user_id, 30, 0)
        tx.run("disconnects.set_gone", who.session_id, gone_at)

    await shop.store.write(unit)


async def statuses(shop: Shop, *orders: bodies.Order, user: str = "ann") -> list[tuple[str, Any]]:
    found = [await shop.view(methodcaller("order", order.order_id), user) for order in orders]
    return [(order.status, order.error_reason or None) for order in found]


async def until_canceled(shop: Shop, count: int) -> list[OrderEvent]:
    async with asyncio.timeout(10):
        while True:
            told = [event for event in await shop.events() if isinstance(event, OrderEvent)]
            if sum(event.event == "canceled" for event in told) >= count:
                return told
            await asyncio.sleep(0.005)


async def test_the_session_s_open_orders_are_canceled_and_nobody_else_s(shop: Shop) -> None:
    mine = [(await shop.place(session="s1")).order for _ in range(3)]
    shop.venue.script = ["filled"]
    filled = (await shop.place(session="s1")).order
    others = [(await shop.place(session=session)).order for session in ("s2", None)]
    bob = (await shop.place("bob", session="s1")).order
    await arm(shop)
    assert await shop.desk.cancel_absent(ABSENT) == 3
    told = await until_canceled(shop, 3)
    canceled = [event for event in told if event.event == "canceled"]
    assert {event.order_id for event in canceled} == {order.order_id for order in mine}
    assert {(event.error_reason, event.source) for event in canceled} == {("canceled_on_disconnect", "venue")}
    assert await statuses(shop, *mine) == [("canceled", "canceled_on_disconnect")] * 3
    assert [status for status, _ in await statuses(shop, filled, *others)] == ["filled", "open", "open"]
    assert [status for status, _ in await statuses(shop, bob, user="bob")] == ["open"]
    assert sorted(shop.venue.cancels) == sorted(f"v-{order.order_id}" for order in mine)


@pytest.mark.parametrize("gone_at", [None, GONE_AT + 1])
async def test_nothing_is_canceled_of_a_session_that_has_come_back(shop: Shop, gone_at: int | None) -> None:
    order = (await shop.place(session="s1")).order
    await arm(shop, gone_at)
    assert await shop.desk.cancel_absent(ABSENT) is None
    assert shop.venue.cancels == []
    assert await statuses(shop, order) == [("open", None)]


async def test_it_is_done_once(shop: Shop) -> None:
    await shop.place(session="s1")
    await arm(shop)
    assert await shop.desk.cancel_absent(ABSENT) == 1
    await until_canceled(shop, 1)
    again = (await shop.place(session="s1")).order
    assert await shop.desk.cancel_absent(ABSENT) is None
    assert await statuses(shop, again) == [("open", None)]


async def test_a_session_that_never_traded_has_nothing_open(shop: Shop) -> None:
    stranger = Absent(APP, "carol", "s9", GONE_AT)
    await arm(shop, who=stranger)
    assert await shop.desk.cancel_absent(stranger) == 0


async def test_an_order_that_is_on_its_way_is_canceled_when_the_venue_has_it(shop: Shop) -> None:
    shop.venue.script = ["waits"]
    placing = asyncio.create_task(shop.place(session="s1"))
    async with asyncio.timeout(10):
        while not shop.venue.sent:
            await asyncio.sleep(0.002)
    await arm(shop)
    assert await shop.desk.cancel_absent(ABSENT) == 1
    shop.venue.release.set()
    await placing
    told = await until_canceled(shop, 1)
    assert [(event.event, event.error_reason or None) for event in told][-1] == ("canceled", "canceled_on_disconnect")


async def test_what_was_decided_before_a_crash_is_sent_after_it(shop: Shop) -> None:
    """The unit is committed and the process dies before a cancel leaves: the check at the start sends them."""
    order = (await shop.place(session="s1")).order
    await arm(shop)
    await shop.store.write(lambda tx: tx.run("disconnects.spend", "s1", GONE_AT))
    await shop.store.write(lambda tx: tx.run("orders.want_cancel", order.order_id, 2))
    running = asyncio.create_task(shop.reconciler.run())
    await until_canceled(shop, 1)
    running.cancel()
    assert await statuses(shop, order) == [("canceled", "canceled_on_disconnect")]


async def test_the_user_s_own_cancel_is_told_as_the_venue_s_word(shop: Shop) -> None:
    order = (await shop.place(session="s1")).order
    await shop.desk.cancel(APP, "ann", order.order_id)
    told = await until_canceled(shop, 1)
    assert (told[-1].event, told[-1].error_reason) == ("canceled", UNSET)


async def test_a_cancel_the_venue_refuses_is_told(shop: Shop) -> None:
    await shop.place(session="s1")
    await arm(shop)
    shop.venue.refuse_cancels = True
    assert await shop.desk.cancel_absent(ABSENT) == 1
    async with asyncio.timeout(10):
        while not any(isinstance(event, OrderEvent) for event in await shop.events()):
            await asyncio.sleep(0.005)
    [told] = [event for event in await shop.events() if isinstance(event, OrderEvent)]
    assert (told.event, told.status, told.error_reason) == ("cancel_rejected", "open", "cancels_halted")


async def test_a_full_store_leaves_the_wish_where_it_is(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = (await shop.place(session="s1")).order
    await arm(shop)

    async def full(_: object) -> None:
        raise Unavailable("store_unavailable", "The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(shop.store, "write", full)
        with pytest.raises(Unavailable):
            await shop.desk.cancel_absent(ABSENT)
    assert await statuses(shop, order) == [("open", None)]
    assert await shop.desk.cancel_absent(ABSENT) == 1


async def test_a_desk_that_is_closing_leaves_it_to_the_next_start(shop: Shop) -> None:
    await arm(shop)
    await shop.desk.stop(1)
    with pytest.raises(Unavailable):
        await shop.desk.cancel_absent(ABSENT)
    assert await shop.store.read(lambda tx: tx.one(int, "disconnects.seconds", "s1")) == 30


async def test_a_repeat_from_another_session_leaves_the_order_with_its_first(shop: Shop) -> None:
    order = (await shop.place(session="s1", clientOrderId="one")).order
    assert (await shop.place(session="s2", clientOrderId="one")).replay
    await arm(shop)
    assert await shop.desk.cancel_absent(ABSENT) == 1
    await until_canceled(shop, 1)
    assert await statuses(shop, order) == [("canceled", "canceled_on_disconnect")]
