"""What the paper venue keeps of one user: told line by line, or put under another name."""

from collections.abc import Iterator
from typing import Final

from oddswire.store.base import Tx
from oddswire.store.portrait import Line, Part, lines
from oddswire.venues.paper.floor import user_account

_PARTS: Final = (
    Part("paperAccount", "paper_personal.account", ("account", "cashRaw", "heldRaw"), ("",)),
    Part("paperHolding", "paper_personal.holdings", ("marketId", "outcomeId", "freeRaw", "heldRaw"), ("", "")),
    Part(
        "paperOrder",
        "paper_personal.orders",
        (
            *("venueOrderId", "orderId", "marketId", "outcomeId", "side", "priceRaw", "sizeRaw", "timeInForce"),
            *("expiresAt", "postOnly", "filledRaw", "state", "reason", "changedAt"),
        ),
        ("",),
    ),
    Part(
        "paperFill",
        "paper_personal.fills",
        ("venueFillId", "venueOrderId", "priceRaw", "sizeRaw", "feeRaw", "reversed", "at"),
        ("",),
    ),
    Part("paperTransfer", "paper_personal.transfers", ("version", "transferId", "amountRaw", "at"), (-1,)),
    Part("paperSettlement", "paper_personal.settlements", ("version", "marketId", "winner", "payoutRaw", "at"), (-1,)),
)
_TABLES: Final = ("account", "holdings", "orders", "fills", "transfers", "settlements", "reports")


def export(tx: Tx, app_id: str, user_id: str) -> Iterator[Line]:
    """Yield everything the venue holds of a user: nothing where it never saw them."""
    for part in _PARTS:
        yield from lines(tx, part, app_id, user_account(user_id))


def rename(tx: Tx, app_id: str, user_id: str, name: str) -> None:
    """Let a user be called `name` in every table, while nobody serves the database: its books stay as they are."""
    for table in _TABLES:
        tx.run(f"paper_personal.rename_{table}", app_id, user_account(user_id), user_account(name))
