"""Oddswire: one kind of order to every prediction market, each user's events on every screen of that user.

`oddswire.Client` is the Python client; the events it yields are the structs named here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddswire.client import (
        Client,
        Cursor,
        OpenOrder,
        Reset,
        ServerRefused,
        ServerUnreachable,
        Snapshot,
        Stopped,
    )
    from oddswire.events import (
        BalanceUpdate,
        HoldingUpdate,
        MarketSettled,
        OrderEvent,
        OrderSubmitted,
    )

__all__ = [
    "BalanceUpdate",
    "Client",
    "Cursor",
    "HoldingUpdate",
    "MarketSettled",
    "OpenOrder",
    "OrderEvent",
    "OrderSubmitted",
    "Reset",
    "ServerRefused",
    "ServerUnreachable",
    "Snapshot",
    "Stopped",
]
_EVENTS = frozenset({"BalanceUpdate", "HoldingUpdate", "MarketSettled", "OrderEvent", "OrderSubmitted"})


def __getattr__(name: str) -> object:
    # the client's libraries are a third of a second that the server and most commands need not wait for
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("oddswire.events" if name in _EVENTS else "oddswire.client"), name)
