"""The live screen of `watch`."""

import asyncio
from collections import deque
from contextlib import aclosing
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from oddswire.cli import output, telling
from oddswire.client import Client, Line, Snapshot, Told

FRAME_SECONDS: Final = 0.1
"""Events may come by the thousand; nobody sees more than ten pictures a second."""
LAST_EVENTS: Final = 12
_LINES: Final[dict[Line, tuple[str, str]]] = {
    "connecting": ("○ connecting", "yellow"),
    "catching_up": ("◐ catching up", "yellow"),
    "level": ("● live", "green"),
    "waiting": ("○ connection lost, trying again", "red"),
}


class Screen:
    """A user's state and newest events, how the connection is doing, and whether the picture of it is old."""

    def __init__(self, title: str, state: Snapshot) -> None:
        self.state = state
        self.last: deque[Told] = deque(maxlen=LAST_EVENTS)
        self.line: Line = "connecting"
        self.changed = asyncio.Event()
        self._title = title

    def on_line(self, line: Line) -> None:
        """Take how the connection is doing."""
        self.line = line
        self.changed.set()

    def picture(self) -> Group:
        """Return the whole screen."""
        said, colour = _LINES[self.line]
        head = Text.assemble((self._title, "bold"), "   ", (said, colour), ("   Ctrl-C ends", "dim"))
        parts = (self._balances(), self._holdings(), self._orders(), self._events())
        return Group(head, *(piece for part in parts for piece in (Text(), part)))

    def _balances(self) -> Table:
        table = output.table("Balances", ("venue", "trading", "wallet"), ("trading", "wallet"))
        for venue, row in sorted(self.state.balances.items()):
            trading, wallet = output.dollars(row.trading_balance_cents), output.dollars(row.wallet_balance_cents)
            table.add_row(venue, Text(trading, "bold"), wallet)
        return table

    def _holdings(self) -> Table:
        columns = ("venue", "market", "outcome", "size", "available", "average")
        table = output.table("Holdings", columns, columns[3:])
        for key, row in sorted(self.state.holdings.items()):
            amounts = (output.number(value) for value in (row.size, row.available, row.average_price))
            table.add_row(*map(Text, (*key, *amounts)))
        return table

    def _orders(self) -> Table:
        columns = ("order", "venue", "market", "outcome", "side", "size", "price", "filled", "status")
        table = output.table("Open orders", columns, ("size", "price", "filled"))
        for order_id, row in sorted(self.state.orders.items(), reverse=True)[:15]:
            table.add_row(
                *map(Text, (telling.short(order_id), row.venue, row.market_id, row.outcome_id)),
                Text(row.side, output.SIDE_COLOURS[row.side]),
                *(output.number(row.size), output.number(row.price), output.number(row.filled)),
                Text(row.status, output.STATUS_COLOURS[row.status]),
            )
        return table

    def _events(self) -> Group:
        return Group(Text("Newest events", "bold"), *(telling.event_line(told) for told in self.last))


async def show(client: Client) -> None:
    """Show a user's state until cancelled.

    Raises:
        Stopped: the gateway told us to go.
        ServerRefused, ServerUnreachable: the state could not be read.
    """
    cursor = client.cursor
    screen = Screen(f"{client.app_id} at {client.base_url}", await client.snapshot())
    if cursor is not None:
        client.cursor = cursor
    client.on_line = screen.on_line
    with Live(screen.picture(), console=Console(), auto_refresh=False, screen=True) as live:
        drawing = asyncio.create_task(_draw(screen, live))
        try:
            async with aclosing(client.events()) as events:
                async for told in events:
                    screen.last.append(told)
                    if not screen.state.apply(told):
                        screen.state = await client.snapshot()
                    screen.changed.set()
        finally:
            drawing.cancel()


async def _draw(screen: Screen, live: Live) -> None:
    while True:
        await screen.changed.wait()
        screen.changed.clear()
        live.update(screen.picture(), refresh=True)
        await asyncio.sleep(FRAME_SECONDS)
