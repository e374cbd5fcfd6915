"""What is told of an order's life, as a script of steps and the events each commit says."""

from collections.abc import Callable
from itertools import repeat
from typing import Any

import pytest

from oddswire.events import BalanceUpdate, HoldingUpdate, MarketSettled, OrderEvent, OrderSubmitted, UserEvent
from oddswire.ledger.books import Balance, Books, Holding
from oddswire.orders.order import Order
from oddswire.orders.telling import Telling
from oddswire.venues.base import FillReport, OrderReport, SettlementReport

DOLLAR = 1_000_000


def an_order(side: str = "buy", price: int = 550_000, size: int = 10 * DOLLAR, **other: Any) -> Order:
    values: dict[str, Any] = {
        "order_id": "ord_1",
        "stream_id": 1,
        "venue": "paper",
        "market_id": "rain",
        "outcome_id": "yes",
        "side": side,
        "price": price,
        "size": size,
        "time_in_force": "gtc",
        "expires_at": None,
        "post_only": 0,
        "fee": 0,
        "client_order_id": None,
        "origin": None,
        "status": "pending",
        "filled": 0,
        "money_held": 0,
        "contracts_held": 0,
        "venue_order_id": None,
        "submitted": 0,
        "cancel_wanted": 0,
        "error_reason": None,
        "mark_node": "n",
        "mark_deadline": 0,
        "created_at": 1,
        "timestamp": 1,
        "seq": 0,
        "session_id": None,
    }
    return Order(**{**values, **other})


def a_report(order: Order, state: str = "open", reason: str | None = None) -> OrderReport:
    return OrderReport(
        venue_order_id="v1",
        ref=order.order_id,
        market_id=order.market_id,
        outcome_id=order.outcome_id,
        side=order.side,
        price=order.price,
        size=order.size,
        time_in_force="gtc",
        expires_at=None,
        post_only=False,
        filled=order.filled,
        state=state,  # type: ignore[arg-type]  # the tests' tables hold plain text
        reason=reason,
        venue_timestamp=5,
    )


def a_fill(size: int, price: int = 550_000, fee: int = 0, fill_id: str = "x1", undone: bool = False) -> FillReport:
    return FillReport(fill_id, "v1", price, size, fee, undone, 6)


class Account:
    """Books that live over several commits."""

    def __init__(self, cash: int = 1000 * DOLLAR, contracts: int = 0) -> None:
        self.balance = Balance(cash=cash)
        self.holdings = {"rain/yes": Holding("rain", "yes", free=contracts, average_price=400_000 if contracts else 0)}
        self.seq = 0

    def commit(self, act: Callable[[Telling], object]) -> list[UserEvent]:
        books = Books(self.balance, dict(self.holdings))
        telling = Telling(1, "paper", self.seq, 10 + self.seq, books, "venue", repeat("fil_1"))
        for holding in books.holdings.values():
            telling.remember(holding)
        act(telling)
        telling.finish()
        self.holdings = books.holdings
        assert [event.seq for event in telling.events] == list(range(self.seq + 1, telling.seq + 1))
        self.seq = telling.seq
        return telling.events


def names(events: list[UserEvent]) -> list[str]:
    said = []
    for event in events:
        match event:
            case OrderSubmitted():
                said.append("submitted")
            case BalanceUpdate():
                said.append(f"balance {event.trading_balance_cents}/{event.wallet_balance_cents} {event.reason}")
            case OrderEvent():
                said.append(f"{event.event} {event.previous_status}>{event.status} left {event.remaining_amount_raw}")
            case HoldingUpdate():
                said.append(f"holding {event.size}/{event.available} at {event.average_price}")
            case MarketSettled():
                said.append(f"settled {event.outcome_id} {event.payout_cents}")
    return said


def test_an_intent_is_told_nowhere() -> None:
    account, order = Account(), an_order()
    assert account.commit(lambda telling: telling.intend(order)) == []
    assert (account.balance.cash, account.balance.trading) == (994_500_000, 1_000_000_000)


def test_a_resting_order_then_a_fill_then_its_cancel() -> None:
    account, order = Account(), an_order()
    account.commit(lambda telling: telling.intend(order))
    assert names(account.commit(lambda telling: telling.submit(order, a_report(order)))) == [
        "submitted",
        "balance 99450/100000 order_placed",
    ]
    assert names(account.commit(lambda telling: telling.fill(order, a_fill(4 * DOLLAR, 500_000)))) == [
        "partially_filled open>partially_filled left 6000000",
        "holding 4/4 at 0.5",
        "balance 99470/99800 fill",
    ]
    assert names(account.commit(lambda telling: telling.end(order, "canceled", "user", 7))) == [
        "canceled partially_filled>canceled left 6000000",
        "balance 99800/99800 released",
    ]
    assert (account.balance.held, order.money_held) == (0, 0)


def test_an_order_that_fills_at_once_is_told_in_protocol_s_order() -> None:
    account, order = Account(), an_order()
    account.commit(lambda telling: telling.intend(order))

    def answered(telling: Telling) -> None:
        telling.submit(order, a_report(order))
        telling.fill(order, a_fill(4 * DOLLAR, 540_000, fill_id="x1"))
        telling.fill(order, a_fill(6 * DOLLAR, 550_000, fill_id="x2"))

    assert names(account.commit(answered)) == [
        "submitted",
        "balance 99450/100000 order_placed",
        "partially_filled open>partially_filled left 6000000",
        "filled partially_filled>filled left 0",
        "holding 10/10 at 0.546",
        "balance 99454/99454 fill",
    ]


def test_a_sell_holds_contracts_and_says_so_when_the_venue_has_it() -> None:
    account, order = Account(contracts=20 * DOLLAR), an_order("sell")
    assert account.commit(lambda telling: telling.intend(order)) == []
    assert names(account.commit(lambda telling: telling.submit(order, a_report(order)))) == [
        "submitted",
        "balance 100000/100000 order_placed",
        "holding 20/10 at 0.4",
    ]
    assert names(account.commit(lambda telling: telling.fill(order, a_fill(10 * DOLLAR, 600_000)))) == [
        "filled open>filled left 0",
        "holding 10/10 at 0.4",
        "balance 100600/100600 fill",
    ]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_rejected_order_s_hold_is_never_told(side: str) -> None:
    account, order = Account(contracts=20 * DOLLAR), an_order(side)
    account.commit(lambda telling: telling.intend(order))
    told = account.commit(lambda telling: telling.reject(order, "market_closed"))
    assert names(told) == ["rejected pending>rejected left 10000000"]
    assert (account.balance.cash, account.holdings["rain/yes"].free) == (1000 * DOLLAR, 20 * DOLLAR)


@pytest.mark.parametrize(
    ("side", "unconfirmed", "rejected"),
    [
        ("buy", ["balance 99450/100000 order_placed"], ["balance 100000/100000 released"]),
        ("sell", ["holding 20/10 at 0.4"], ["holding 20/20 at 0.4"]),
    ],
)
def test_an_unconfirmed_order_tells_its_hold_and_its_release(
    side: str, unconfirmed: list[str], rejected: list[str]
) -> None:
    account, order = Account(contracts=20 * DOLLAR), an_order(side)
    account.commit(lambda telling: telling.intend(order))
    told = names(account.commit(lambda telling: telling.unconfirm(order)))
    assert told == ["unconfirmed pending>unconfirmed left 10000000", *unconfirmed]
    told = names(account.commit(lambda telling: telling.reject(order, "not_sent")))
    assert told == ["rejected unconfirmed>rejected left 10000000", *rejected]


def test_an_unconfirmed_order_the_venue_had_is_submitted_with_its_balance_though_the_number_is_the_same() -> None:
    account, order = Account(), an_order()
    account.commit(lambda telling: telling.intend(order))
    account.commit(lambda telling: telling.unconfirm(order))
    assert names(account.commit(lambda telling: telling.submit(order, a_report(order)))) == [
        "submitted",
        "balance 99450/100000 order_placed",
    ]


def test_a_late_fill_raises_a_canceled_order_and_a_reversal_lowers_it() -> None:
    account, order = Account(), an_order()
    account.commit(lambda telling: telling.intend(order))
    account.commit(lambda telling: telling.submit(order, a_report(order)))
    account.commit(lambda telling: telling.end(order, "canceled", None, None))
    assert names(account.commit(lambda telling: telling.fill(order, a_fill(4 * DOLLAR)))) == [
        "partially_filled canceled>canceled left 6000000",
        "holding 4/4 at 0.55",
        "balance 99780/99780 fill",
    ]
    assert names(account.commit(lambda telling: telling.fill(order, a_fill(6 * DOLLAR, fill_id="x2")))) == [
        "filled canceled>filled left 0",
        "holding 10/10 at 0.55",
        "balance 99450/99450 fill",
    ]
    undone = a_fill(6 * DOLLAR, fill_id="x2", undone=True)
    assert names(account.commit(lambda telling: telling.reverse(order, "fil_1", undone, False))) == [
        "reversed filled>canceled left 6000000",
        "holding 4/4 at 0.55",
        "balance 99780/99780 correction",
    ]


def test_a_reversal_of_a_resting_order_holds_its_part_again() -> None:
    account, order = Account(), an_order()
    account.commit(lambda telling: telling.intend(order))
    account.commit(lambda telling: telling.submit(order, a_report(order)))
    account.commit(lambda telling: telling.fill(order, a_fill(4 * DOLLAR)))
    undone = a_fill(4 * DOLLAR, undone=True)
    assert names(account.commit(lambda telling: telling.reverse(order, "fil_1", undone, True))) == [
        "reversed partially_filled>open left 10000000",
        "holding 0/0 at 0",
        "balance 99450/100000 correction",
    ]
    assert order.money_held == 5_500_000


def test_a_cancel_wanted_of_an_order_that_fills_first_is_refused_by_that() -> None:
    account, order = Account(), an_order(cancel_wanted=1)
    account.commit(lambda telling: telling.intend(order))
    account.commit(lambda telling: telling.submit(order, a_report(order)))
    told = account.commit(lambda telling: telling.fill(order, a_fill(10 * DOLLAR)))
    assert names(told)[:2] == ["filled open>filled left 0", "cancel_rejected filled>filled left 0"]
    assert order.cancel_wanted == 0


def test_a_settlement_takes_contracts_that_orders_still_hold_and_pays() -> None:
    account, order = Account(contracts=20 * DOLLAR), an_order("sell")
    account.commit(lambda telling: telling.intend(order))
    report = SettlementReport("s1", "rain", "yes", 20 * DOLLAR, 9)
    assert names(account.commit(lambda telling: telling.settle("r", report, [order]))) == [
        "settled yes 2000",
        "holding 0/0 at 0",
        "balance 102000/102000 settlement",
    ]
    assert names(account.commit(lambda telling: telling.reject(order, "market_closed"))) == [
        "rejected pending>rejected left 10000000"
    ]
    assert account.holdings["rain/yes"].size == 0


def test_deposit_withdrawal_and_correction_tell_the_balance() -> None:
    account = Account()
    assert names(account.commit(lambda telling: telling.transfer("t1", 5 * DOLLAR))) == [
        "balance 100500/100500 deposit"
    ]
    assert names(account.commit(lambda telling: telling.transfer("t2", -DOLLAR))) == [
        "balance 100400/100400 withdrawal"
    ]
    assert names(account.commit(lambda telling: telling.correct("c", -1))) == ["balance 100399/100399 correction"]


def test_a_step_the_table_does_not_have_is_refused() -> None:
    account, order = Account(), an_order(status="rejected")
    with pytest.raises(ValueError, match="cannot go from rejected"):
        account.commit(lambda telling: telling.submit(order, a_report(order)))
