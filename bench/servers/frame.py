"""The event that everybody pushes."""

from decimal import Decimal

from oddswire.events import OrderSubmitted


def event(seq: int, now: int) -> OrderSubmitted:
    """Return an event as an order of a careful client makes it: about 270 bytes."""
    return OrderSubmitted(
        venue="paper",
        timestamp=now,
        seq=seq,
        order_id="ord_01JD5T9Q3NX0V6W4S2K8M7P1RB",
        side="buy",
        price=Decimal("0.55"),
        size=Decimal(10),
        market_id="fed-cut-dec",
        outcome_id="yes",
        client_order_id="bench-of-an-order-with-an-id-of-its-client-000000001",
    )
