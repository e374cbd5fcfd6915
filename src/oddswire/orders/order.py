"""An order and the steps of its life, as a table: pure.

pending ─┬─> open ──> partially_filled ──> filled
         ├─> unconfirmed ─> any of them       │
         └─> rejected       canceled, expired <┘  (a late fill or a reversal corrects a finished order)
"""

from typing import Final

from msgspec import Struct

from oddswire.events import OrderStatus, Side
from oddswire.ledger import rules
from oddswire.venues.base import TimeInForce

UNSETTLED: Final[frozenset[OrderStatus]] = frozenset({"pending", "unconfirmed"})
"""The venue has not been heard on them yet."""
WORKING: Final[frozenset[OrderStatus]] = frozenset({"open", "partially_filled"})
"""The venue has them and they may still fill."""
FINISHED: Final[frozenset[OrderStatus]] = frozenset({"filled", "canceled", "expired", "rejected"})
"""They hold nothing any more."""

STEPS: Final[dict[OrderStatus, frozenset[OrderStatus]]] = {
    "pending": frozenset({"unconfirmed", "open", "partially_filled", "filled", "canceled", "expired", "rejected"}),
    "unconfirmed": frozenset({"open", "partially_filled", "filled", "canceled", "expired", "rejected"}),
    "open": frozenset({"partially_filled", "filled", "canceled", "expired"}),
    "partially_filled": frozenset({"open", "partially_filled", "filled", "canceled", "expired"}),
    "filled": frozenset({"filled", "canceled", "partially_filled", "open"}),
    "canceled": frozenset({"canceled", "filled"}),
    "expired": frozenset({"expired", "canceled", "filled"}),
    "rejected": frozenset(),
}
"""From each status, the ones that may follow; back from a finished one only by a late fill or a reversal."""


BY_USER: Final = 1
BY_ABSENCE: Final = 2
"""Who wants an order's cancel, in `cancel_wanted`; 0: nobody. By absence: its session has been gone too long."""


class Order(Struct):
    """A stored order, its fields in the order of its row; amounts in millionths, times in ms.

    `fee` is the most the venue may charge a contract, `money_held` and `contracts_held` what the order holds now,
    `mark_node` and `mark_deadline` the sending mark, `seq` the newest event that told of it (0: none yet),
    `cancel_wanted` who wants its cancel, `session_id` the session that placed it (None: not placed through us).
    """

    order_id: str
    stream_id: int
    venue: str
    market_id: str
    outcome_id: str
    side: Side
    price: int
    size: int
    time_in_force: TimeInForce
    expires_at: int | None
    post_only: int
    fee: int
    client_order_id: str | None
    origin: str | None
    status: OrderStatus
    filled: int
    money_held: int
    contracts_held: int
    venue_order_id: str | None
    submitted: int
    cancel_wanted: int
    error_reason: str | None
    mark_node: str
    mark_deadline: int
    created_at: int
    timestamp: int
    seq: int
    session_id: str | None

    @property
    def remaining(self) -> int:
        """What has not been filled."""
        return max(self.size - self.filled, 0)

    @property
    def finished(self) -> bool:
        """Whether it holds nothing and will not fill, unless the venue corrects itself."""
        return self.status in FINISHED

    def move(self, status: OrderStatus) -> OrderStatus:
        """Go to `status` and return the one before.

        Raises:
            ValueError: the table has no such step.
        """
        if status not in STEPS[self.status]:
            raise ValueError(f"order {self.order_id} cannot go from {self.status} to {status}")
        before, self.status = self.status, status
        return before

    def holds(self) -> tuple[int, int]:
        """Return what it must hold as it now is: money and contracts."""
        if self.finished:
            return 0, 0
        return (
            rules.money_hold(self.side, self.price, self.remaining, self.fee),
            rules.contract_hold(self.side, self.remaining),
        )
