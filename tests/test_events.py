import json

from oddswire import events, money


def test_the_founding_page_s_order_submitted_has_its_fields_with_their_types() -> None:
    event = events.OrderSubmitted(
        venue="kalshi",
        order_id="order-abc-123",
        side="buy",
        price=money.to_decimal(550_000),
        size=money.to_decimal(10_000_000),
        market_id="market-123",
        outcome_id="yes",
        timestamp=1_710_705_123_456,
        seq=1,
    )
    raw = events.encode(event)
    assert b'"price":0.55,"size":10,' in raw
    told = json.loads(raw)
    assert told == {
        "type": "order_submitted",
        "venue": "kalshi",
        "orderId": "order-abc-123",
        "side": "buy",
        "price": 0.55,
        "size": 10,
        "marketId": "market-123",
        "timestamp": 1_710_705_123_456,
        "outcomeId": "yes",
        "seq": 1,
    }
    assert events.decode(raw) == event


def test_a_balance_update_always_has_its_wallet_null_where_the_venue_does_not_tell() -> None:
    event = events.BalanceUpdate(
        venue="kalshi",
        trading_balance_cents=50_000,
        wallet_balance_cents=None,
        trading_balance_raw="500000000",
        wallet_balance_raw=None,
        reason="order_placed",
        timestamp=1,
        seq=2,
    )
    assert json.loads(events.encode(event))["walletBalanceCents"] is None


def test_fields_a_reader_does_not_know_are_passed_over() -> None:
    head = b'{"type":"market_settled","venue":"v","timestamp":1,"seq":3,'
    raw = head + b'"marketId":"m","outcomeId":"yes","payoutCents":5,"later":1}'
    assert events.decode(raw).seq == 3
