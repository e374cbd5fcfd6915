"""A bot that keeps one resting bid, two ticks below the best, in a market of the paper venue.

Stop it, kill it, restart the gateway: it goes on with the order it had, and never has two. Run it beside
`oddswire serve --dev`:  .venv/bin/python examples/bot.py
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import oddswire

URL = os.environ.get("ODDSWIRE_URL", "http://127.0.0.1:8080")
APP = os.environ.get("ODDSWIRE_APP", "demo")
API_KEY = os.environ.get("ODDSWIRE_API_KEY", "demo-key")
MEMORY = Path(os.environ.get("BOT_MEMORY", "bot-memory.json"))
MARKET, OUTCOME, SIZE, TICKS_BELOW = "fed-cut-dec", "yes", 10, 2
LOOK_SECONDS, MOST_SECONDS = 2, 60


class Bot:
    """`memory` is what outlives us: the refresh token, and the terms of the newest order, kept before it is placed."""

    def __init__(self, client: oddswire.Client, memory: dict[str, Any]) -> None:
        self.client = client
        self.memory = memory
        self.moved = asyncio.Event()
        self.state: oddswire.Snapshot

    async def run(self) -> None:
        """Take up what we left, and go on until we are signed out."""
        try:
            await self.client.refresh_token()
        except oddswire.Stopped:
            # the first time, or signed out meanwhile
            signed = await self.client.sign_in("bot", api_key=API_KEY, label="example bot")
            self.keep(refresh_token=signed.refresh_token)
        if terms := self.memory.get("terms"):
            # killed in the middle of it, perhaps: the same clientOrderId again places nothing twice
            await self.place(terms)
        self.state = await self.client.snapshot()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.follow())
            tasks.create_task(self.tend())

    async def follow(self) -> None:
        """Move our state on by each event."""
        async for event in self.client.events():
            if not self.state.apply(event):
                self.state = await self.client.snapshot()
            if isinstance(event, oddswire.OrderEvent) and is_ours(event.client_order_id):
                print(f"{event.client_order_id} {event.event}: {event.status}", flush=True)
            self.moved.set()

    async def tend(self) -> None:
        """Every two seconds, and after every event: replace the order where the market has moved or it is gone.

        Who is refused, because the market is paused for example, asks again after 2, 4, 8, … 60 seconds.
        """
        refusals = 0
        while True:
            price = await self.wanted_price()
            mine = [order for order in self.state.orders.values() if is_ours(order.client_order_id)]
            for order in mine:
                if order.price != price or len(mine) > 1:
                    with suppress(oddswire.ServerRefused):  # it has just filled: the event is on its way
                        await self.client.orders.cancel(order.order_id)
            if not mine:
                terms = {"price": str(price), "client_order_id": f"bot-{self.memory.get('orders', 0) + 1}"}
                refusals = 0 if await self.place(terms) else refusals + 1
                if refusals:
                    await asyncio.sleep(min(LOOK_SECONDS * 2 ** (refusals - 1), MOST_SECONDS))
                    continue
            self.moved.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.moved.wait(), LOOK_SECONDS)

    async def wanted_price(self) -> Decimal:
        """Return the price of our bid, as the market is now."""
        page = await self.client.markets("paper", limit=100)
        market = next(market for market in page.data if market.market_id == MARKET)
        best = next(one.best_bid for one in market.outcomes if one.outcome_id == OUTCOME) or market.tick
        return max(best - TICKS_BELOW * market.tick, market.tick)

    async def place(self, terms: dict[str, Any]) -> bool:
        """Place an order, and return once our state knows it; False where it was refused."""
        self.keep(terms=terms, orders=int(terms["client_order_id"].removeprefix("bot-")))
        try:
            order = await self.client.orders.place(
                venue="paper", market_id=MARKET, outcome_id=OUTCOME, side="buy", size=SIZE, **terms
            )
        except oddswire.ServerRefused as said:
            print(f"{terms['client_order_id']} refused: {said}", flush=True)
            return False
        print(f"{terms['client_order_id']} at {terms['price']}: {order.status}", flush=True)
        while hasattr(self, "state") and self.state.cursor.seq < order.seq:
            self.moved.clear()
            await self.moved.wait()
        return True

    def keep(self, **changed: Any) -> None:
        """Write the memory, whole or not at all."""
        self.memory.update(changed)
        new = MEMORY.with_suffix(".new")
        new.write_text(json.dumps(self.memory))
        new.chmod(0o600)
        new.replace(MEMORY)


def is_ours(client_order_id: object) -> bool:
    """Tell our orders from those that the user has placed by other means."""
    return str(client_order_id).startswith("bot-")


async def main(memory: dict[str, Any]) -> None:
    """Run the bot with what it remembers; who is signed out by somebody signs in anew."""
    print(f"calling {URL}", flush=True)
    away = False

    def say_whether_it_is_there(line: str) -> None:
        nonlocal away
        if line in ("waiting", "level") and away != (line == "waiting"):
            away = line == "waiting"
            print("the gateway is away: trying on" if away else "the gateway is back", flush=True)

    while True:
        async with oddswire.Client(
            base_url=URL,
            app_id=APP,
            refresh_token=memory.get("refresh_token"),
            retry_seconds=3600,  # so long a gateway may be away
            cancel_on_disconnect=60,  # and so long we may, before the gateway takes our order off the book
            on_line=say_whether_it_is_there,
        ) as client:
            try:
                await Bot(client, memory).run()
            except* oddswire.Stopped as said:
                # of a task group, so in a group of its own
                print(f"signed out: {said.exceptions[0]}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(json.loads(MEMORY.read_text()) if MEMORY.exists() else {}))
    except KeyboardInterrupt:
        pass
    except oddswire.ServerRefused as said:
        sys.exit(f"the gateway does not let us in: {said}")
