"""What a user has is moved on by each event once, and only by what is newer."""

from decimal import Decimal

from oddswire.client import Cursor, Reset, Snapshot
from oddswire.events import UserEvent, decode
from oddswire.wire import bodies

COMMON = '"venue":"paper","timestamp":1710705123456,'
ORDER = COMMON + '"orderId":"ord_1","marketId":"m","outcomeId":"yes",'


def snapshot(balances: int = 0, holdings: int = 0, orders: int = 0) -> Snapshot:
    return Snapshot.of(
        bodies.Balances(balances=[], seq=balances, epoch="E"),
        bodies.Holdings(holdings=[], seq=holdings, epoch="E"),
        [bodies.Orders(data=[], next_cursor=None, has_more=False, seq=orders, epoch="E")],
    )


def submitted(seq: int) -> UserEvent:
    return decode(f'{{"type":"order_submitted",{ORDER}"seq":{seq},"side":"buy","price":0.5,"size":10}}')


def step(seq: int, event: str, status: str, filled: int = 0) -> UserEvent:
    return decode(
        f'{{"type":"order_event",{ORDER}"seq":{seq},"event":"{event}","status":"{status}","previousStatus":"open",'
        f'"filledAmountRaw":"{filled}","remainingAmountRaw":"{10_000_000 - filled}","source":"venue"}}'
    )


def balance(seq: int, cents: int) -> UserEvent:
    return decode(
        f'{{"type":"balance_update",{COMMON}"seq":{seq},"tradingBalanceCents":{cents},"walletBalanceCents":{cents},'
        f'"tradingBalanceRaw":"{cents}0000","walletBalanceRaw":"{cents}0000","reason":"fill"}}'
    )


def holding(seq: int, size: int) -> UserEvent:
    return decode(
        f'{{"type":"holding_update",{COMMON}"seq":{seq},"marketId":"m","outcomeId":"yes","size":{size},'
        f'"available":{size},"averagePrice":0.5}}'
    )


def test_it_joins_the_stream_where_its_oldest_part_was_read() -> None:
    assert snapshot(balances=5, holdings=7, orders=6).cursor == Cursor(5, "E")


def test_a_part_passes_over_what_it_has_already() -> None:
    state = snapshot(balances=5, holdings=7, orders=7)
    for event in (submitted(6), balance(6, 600), step(7, "filled", "filled", 10_000_000), holding(8, 10)):
        assert state.apply(event)
    assert state.orders == {}, "it was submitted and filled before the orders were read"
    assert state.balances["paper"].trading_balance_cents == 600
    assert [row.size for row in state.holdings.values()] == [10]
    assert state.cursor == Cursor(8, "E")


def test_an_order_comes_and_goes() -> None:
    state = snapshot()
    assert state.apply(submitted(1))
    assert state.apply(step(2, "partially_filled", "partially_filled", 4_000_000))
    order = state.orders["ord_1"]
    assert (order.status, order.filled, order.remaining) == ("partially_filled", Decimal(4), Decimal(6))
    assert state.apply(step(3, "filled", "filled", 10_000_000))
    assert state.orders == {}


def test_a_holding_that_is_gone_is_not_kept_at_zero() -> None:
    state = snapshot()
    state.apply(holding(1, 10))
    state.apply(holding(2, 0))
    assert state.holdings == {}


def test_what_an_event_does_not_tell_takes_a_new_snapshot() -> None:
    state = snapshot()
    assert not state.apply(step(1, "unconfirmed", "unconfirmed"))
    assert not state.apply(Reset("expired", 9, "E"))
    assert state.apply(step(2, "canceled", "canceled"))
