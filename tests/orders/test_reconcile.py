"""What is not heard is asked for; what is heard late, twice or out of order ends in the same books."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from oddswire.errors import Unavailable
from oddswire.events import OrderEvent
from oddswire.orders.desk import SEND_WINDOW
from oddswire.orders.order import Order
from oddswire.orders.reconcile import _Due
from oddswire.streams import log
from oddswire.venues.base import Account, Evidence, NoAnswer, OrderRequest, Wake
from tests.orders.conftest import APP, Shop, steps

ANN = Account(APP, "ann")


@pytest.fixture
async def following(shop: Shop) -> AsyncIterator[Shop]:
    task = asyncio.create_task(shop.reconciler.run())
    yield shop
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def told(shop: Shop, step: str) -> None:
    async def seen() -> bool:
        return step in steps(await shop.events())

    await eventually(seen)


async def sources(shop: Shop, step: str) -> list[str]:
    return [one.source for one in await shop.events() if isinstance(one, OrderEvent) and one.event == step]


async def test_a_fill_the_stream_tells_of_is_read_and_told(following: Shop) -> None:
    placed = await following.place()
    following.venue.fill(ANN, placed.order.order_id, 4_000_000)
    following.venue.tell(Wake(ANN))
    await told(following, "partially_filled")
    assert await sources(following, "partially_filled") == ["venue"]


async def test_of_what_could_not_be_read_nothing_newer_is_forgotten_for_something_older(following: Shop) -> None:
    placed = await following.place()
    following.venue.fill(ANN, placed.order.order_id, 4_000_000)
    early = await following.venue.read(ANN, None)
    following.venue.fill(ANN, placed.order.order_id, 6_000_000)
    late = await following.venue.read(ANN, None)
    following.venue.silent = True
    for cursor in (early.cursor, late.cursor):
        await _try_to_read(following, cursor)
    await following.dispatch.record("scripted", early, "venue")
    following.venue.silent = False
    await told(following, "filled")


@pytest.mark.parametrize("also_swept", [False, True])
async def test_a_read_that_tells_less_than_the_wake_promised_is_asked_for_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, also_swept: bool
) -> None:
    placed = await shop.place()
    behind = await shop.venue.read(ANN, None)
    shop.venue.fill(ANN, placed.order.order_id, 4_000_000)
    cursor = (await shop.venue.read(ANN, None)).cursor

    async def lagging(_: Account, __: int | None) -> Evidence:
        return behind

    with monkeypatch.context() as patched:
        patched.setattr(shop.venue, "read", lagging)
        woken, swept = _Due("venue", cursor or 0), _Due("reconciled", anyway=True)
        # the first is read at once, what follows is joined into one
        for due in (swept, woken, swept) if also_swept else (woken,):
            shop.reconciler._mark(ANN, due)
        await shop.reconciler.level()
    assert "partially_filled" not in steps(await shop.events())
    await shop.reconciler._check()
    await shop.reconciler.level()
    assert await sources(shop, "partially_filled") == ["venue"]


async def _try_to_read(shop: Shop, cursor: int | None) -> None:
    before = shop.venue.reads

    async def asked() -> bool:
        return shop.venue.reads > before

    shop.venue.tell(Wake(ANN, cursor))
    await eventually(asked)
    await shop.reconciler.level()


async def test_what_the_stream_lost_the_sweep_finds(shop: Shop) -> None:
    placed = await shop.place()
    shop.venue.fill(ANN, placed.order.order_id, 10_000_000)
    await shop.reconciler.sweep()
    await shop.reconciler.level()
    assert await sources(shop, "filled") == ["reconciled"]


async def test_an_answer_lost_after_the_venue_took_it_is_asked_for_and_never_sent_again(following: Shop) -> None:
    following.venue.script = ["lost_after"]
    placed = await following.place(clientOrderId="x")
    assert placed.outcome in ("unconfirmed", "taken")
    await told(following, "OrderSubmitted")
    assert list(following.venue.sent.values()) == [1]
    assert (await following.place(clientOrderId="x")).order.status == "open"
    said = steps(await following.events())
    assert said.count("OrderSubmitted") == 1


async def test_a_lost_order_stays_unconfirmed_until_it_can_no_longer_arrive(following: Shop) -> None:
    following.venue.script = ["lost_before"]
    placed = await following.place()
    assert (placed.outcome, placed.order.status) == ("unconfirmed", "unconfirmed")
    assert await following.balance() == (99_450, 100_000)
    asked = following.venue.finds

    async def asked_and_heard() -> bool:
        return following.venue.finds >= asked + 2  # the second round begins when the first has ended

    await eventually(asked_and_heard)
    assert steps(await following.events()) == ["unconfirmed", "order_placed 99450"]
    await eventually(lambda: _is(following, "rejected"), SEND_WINDOW / 1000 + 5)
    assert steps(await following.events())[2:] == ["rejected", "released 100000"]


async def _is(shop: Shop, step: str) -> bool:
    return step in steps(await shop.events())


async def test_an_answer_that_comes_after_we_stopped_waiting_is_recorded(shop: Shop) -> None:
    shop.venue.script = ["waits"]
    placed = await shop.place()
    assert placed.outcome == "unconfirmed"
    shop.venue.release.set()
    await told(shop, "OrderSubmitted")
    assert steps(await shop.events()) == ["unconfirmed", "order_placed 99450", "OrderSubmitted", "order_placed 99450"]


async def test_evidence_merges_the_same_in_any_order_and_any_number_of_times(shop: Shop) -> None:
    placed = await shop.place()
    ref = placed.order.order_id
    early = await shop.venue.read(ANN, None)
    shop.venue.fill(ANN, ref, 4_000_000)
    middle = await shop.venue.read(ANN, None)
    shop.venue.fill(ANN, ref, 2_000_000, price=540_000)
    shop.venue.end(ANN, ref, "canceled")
    late = await shop.venue.read(ANN, None)
    for evidence in (late, early, middle, late, early):
        await shop.dispatch.record("scripted", evidence, "reconciled")
    assert steps(await shop.events()) == [
        *("OrderSubmitted", "order_placed 99450", "partially_filled", "partially_filled", "canceled"),
        *("HoldingUpdate", "released 99672"),
    ]


async def test_a_late_fill_and_a_reversal_correct_a_canceled_order(shop: Shop) -> None:
    placed = await shop.place()
    ref = placed.order.order_id
    shop.venue.end(ANN, ref, "canceled")
    await shop.dispatch.record("scripted", await shop.venue.read(ANN, None), "venue")
    fill = shop.venue.fill(ANN, ref, 10_000_000)
    await shop.dispatch.record("scripted", await shop.venue.read(ANN, None), "venue")
    assert (await shop.view(lambda view: view.order(ref))).status == "filled"
    shop.venue.undo(ANN, ref, fill)
    await shop.dispatch.record("scripted", await shop.venue.read(ANN, None), "venue")
    order = await shop.view(lambda view: view.order(ref))
    assert (order.status, order.filled_amount_raw) == ("canceled", "0")
    assert await shop.balance() == (100_000, 100_000)
    assert (await shop.view(lambda view: view.holdings(None))).holdings == []


async def test_an_order_found_at_the_venue_is_adopted(shop: Shop) -> None:
    request = OrderRequest("theirs", "rain", "yes", "buy", 500_000, 2_000_000, "gtc", None, False, 0)
    shop.venue.take(ANN, request)
    await shop.dispatch.record("scripted", await shop.venue.read(ANN, None), "reconciled")
    [order] = (
        await shop.view(
            lambda view: view.orders(statuses=frozenset(), venue=None, client_order_id=None, cursor=None, limit=50)
        )
    ).data
    assert (order.origin, order.status) == ("venue", "open")
    assert steps(await shop.events()) == ["OrderSubmitted", "order_placed 99900"]


async def test_a_settlement_pays_and_takes_the_contracts(shop: Shop) -> None:
    shop.venue.script = ["filled"]
    await shop.place()
    shop.venue.settle(ANN, 10_000_000)
    for _ in range(2):
        await shop.dispatch.record("scripted", await shop.venue.read(ANN, None), "venue")
    assert steps(await shop.events())[5:] == ["MarketSettled", "HoldingUpdate", "settlement 100450"]


async def test_a_paused_market_is_learned_from_the_stream(following: Shop) -> None:
    await following.place()
    following.venue.market_status = "paused"
    following.venue.tell(Wake(markets=True))

    async def closed() -> bool:
        try:
            await following.place()
        except Exception as refused:
            return getattr(refused, "code", "") == "market_closed"
        return False

    await eventually(closed)


async def test_a_cancel_nobody_took_is_sent_again(following: Shop) -> None:
    following.venue.script = ["waits"]
    call = asyncio.create_task(following.place())
    async with asyncio.timeout(5):
        while not following.venue.sent:
            await asyncio.sleep(0)
    await following.desk.cancel(APP, "ann", next(iter(following.venue.sent)))
    await call
    await told(following, "canceled")


async def test_a_venue_that_falls_silent_is_told_of_and_asked_again(following: Shop) -> None:
    placed = await following.place()
    following.venue.fill(ANN, placed.order.order_id, 4_000_000)
    following.venue.silent = True
    following.venue.tell(Wake(ANN))

    async def degraded() -> bool:
        return following.pulses == ["degraded"]

    await eventually(degraded)
    assert "partially_filled" not in steps(await following.events())
    following.venue.silent = False
    await told(following, "partially_filled")
    assert following.pulses == ["degraded", "live"]


async def test_an_order_or_a_cancel_without_an_answer_is_told_of_as_well(
    following: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    following.venue.script = ["lost_after"]
    placed = await following.place()
    assert following.pulses[0] == "degraded"
    await told(following, "OrderSubmitted")
    assert following.pulses[-1] == "live"
    said = len(following.pulses)

    async def lost(*_: object) -> Evidence:
        raise NoAnswer("the line is down")

    async def degraded() -> bool:
        return following.pulses[said:][:1] == ["degraded"]

    monkeypatch.setattr(following.venue, "cancel", lost)
    await following.desk.cancel(APP, "ann", placed.order.order_id)
    await eventually(degraded)


async def test_a_store_that_fails_is_not_said_to_be_the_venue_s_silence(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> None:
        raise Unavailable("store_unavailable", "not now")

    monkeypatch.setattr(shop.dispatch, "record", failing)
    with capture_logs() as logs:
        await shop.reconciler.sweep()
        await shop.reconciler.level()
    assert {line["event"] for line in logs} == {"reconcile_postponed"}
    assert shop.pulses == []


async def test_an_order_held_as_rejected_that_the_venue_has_is_reported_and_keeps_nothing_else_back(shop: Shop) -> None:
    shop.venue.script = ["lost_before"]
    placed = await shop.place()
    [order] = await shop.store.read(lambda tx: tx.all(Order, "orders.unsettled", "", "scripted", 9))
    await shop.dispatch.reject(order, "not_sent")
    request = OrderRequest(placed.order.order_id, "rain", "yes", "buy", 550_000, 10_000_000, "gtc", None, False, 0)
    shop.venue.take(ANN, request)
    other = OrderRequest("theirs", "rain", "yes", "buy", 500_000, 2_000_000, "gtc", None, False, 0)
    shop.venue.take(ANN, other)
    recorded = await shop.dispatch.record("scripted", await shop.venue.read(ANN, None), "reconciled")
    assert recorded.contradicted == [placed.order.order_id]
    assert steps(await shop.events())[-2:] == ["OrderSubmitted", "order_placed 99900"]


async def test_a_user_without_an_account_gets_one_from_the_sweep(shop: Shop) -> None:
    await shop.store.write(lambda tx: log.open_stream(tx, APP, "cy", 1))
    await shop.reconciler.sweep()
    assert await shop.balance("cy") == (100_000, 100_000)


async def test_a_stream_that_breaks_is_listened_to_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = await shop.place()
    shop.venue.fill(ANN, placed.order.order_id, 4_000_000)
    listening = shop.venue.wakes

    async def broken() -> AsyncIterator[Wake]:
        monkeypatch.setattr(shop.venue, "wakes", listening)
        yield Wake(markets=True)
        raise Unavailable("store_unavailable", "not now")

    monkeypatch.setattr(shop.venue, "wakes", broken)
    task = asyncio.create_task(shop.reconciler.run())
    await told(shop, "partially_filled")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_has_been_recorded_is_not_read_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Account] = []
    reading = shop.venue.read

    async def counted(account: Account, after: int | None) -> Evidence:
        reads.append(account)
        return await reading(account, after)

    async def both_read() -> bool:
        return len(reads) == 2

    monkeypatch.setattr(shop.venue, "read", counted)
    task = asyncio.create_task(shop.reconciler.run())
    await eventually(both_read)
    await shop.reconciler.level()
    for _ in range(3):
        await shop.place()
        shop.venue.tell(Wake(ANN, (await reading(ANN, None)).cursor))
    placed = await shop.place()
    shop.venue.fill(ANN, placed.order.order_id, 4_000_000)
    shop.venue.tell(Wake(ANN, (await reading(ANN, None)).cursor))
    await told(shop, "partially_filled")
    assert len(reads) == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
