"""The two users of the demo: what they do on the paper venue, and how it is told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from rich.text import Text

from oddswire.cli import output, telling
from oddswire.client import Client, Line, Reset, ServerRefused
from oddswire.events import Side
from oddswire.wire import bodies

VENUE: Final = "paper"
PAUSE_SECONDS: Final = 0.6
LEVEL_SECONDS: Final = 5.0


@dataclass
class Trader:
    """One user: a client with a socket that is listened to, and what has been told so far."""

    name: str
    colour: str
    client: Client
    told: Counter[str] = field(default_factory=Counter)
    seq: int = 0
    faults: list[str] = field(default_factory=list)
    _listening: "asyncio.Task[None] | None" = None
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def arrive(self) -> None:
        """Open a socket and listen, from where it was left; every event becomes a line. Returns once level.

        Raises:
            Stopped: the gateway does not want this user.
        """
        level = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(level))
        waiting = asyncio.create_task(level.wait())
        await asyncio.wait((self._listening, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._listening.done():
            self._listening.result()

    async def leave(self) -> None:
        """Close the socket; what is told from here on is missed."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self, level: asyncio.Event) -> None:
        def on_line(line: Line) -> None:
            if line == "level":
                level.set()

        self.client.on_line = on_line
        async with aclosing(self.client.events()) as events:
            async for told in events:
                if isinstance(told, Reset) or told.seq != self.seq + 1:
                    self.faults.append(f"{self.name}: event {told.seq} came after {self.seq}")
                self.seq = told.seq
                self.told[told.type] += 1
                output.show(telling.event_line(told, self.name, self.colour))
                self._moved.set()

    async def seen(self, seq: int) -> None:
        """Return once event `seq` has been told.

        Raises:
            TimeoutError: it has not come.
        """
        async with asyncio.timeout(LEVEL_SECONDS):
            while self.seq < seq:
                self._moved.clear()
                await self._moved.wait()

    async def place(
        self, side: Side, size: int, price: Decimal, market: bodies.Market, tif: bodies.TimeInForce = "gtc"
    ) -> bodies.Order | None:
        """Place an order in a market's first outcome; a refusal is a line like any other."""
        try:
            return await self.client.orders.place(
                venue=VENUE,
                market_id=market.market_id,
                outcome_id=market.outcomes[0].outcome_id,
                side=side,
                price=price,
                size=size,
                time_in_force=tif,
            )
        except ServerRefused as said:
            line = Text.assemble(f"{'':<12}  ", (f"{self.name:<6} ", self.colour), f"{'':>5}  ", ("denied", "bold red"))
            output.show(line.append(f"           {said.code}: {said.detail}"))
            return None


class Stage(NamedTuple):
    """What an act is played with; `quote` reads the market as it is now."""

    alice: Trader
    bob: Trader
    quote: Callable[[], Awaitable[bodies.Market]]


def _says(text: str) -> None:
    output.show(Text(f"▸ {text}", "dim italic"))


def _prices(market: bodies.Market) -> tuple[Decimal, Decimal]:
    """Return the first outcome's best bid and ask; a tick from the ends where nobody quotes."""
    first = market.outcomes[0]
    bid = market.tick if first.best_bid is None else first.best_bid
    return bid, 1 - market.tick if first.best_ask is None else first.best_ask


async def _buy_from_the_house(stage: Stage) -> None:
    market = await stage.quote()
    _, ask = _prices(market)
    _says(f"{market.title} bob buys 10 yes from the house, at {output.number(ask)}")
    await stage.bob.place("buy", 10, ask, market, "ioc")


async def _trade_with_each_other(stage: Stage) -> None:
    market = await stage.quote()
    bid, ask = _prices(market)
    price = bid + market.tick if bid + market.tick < ask else bid
    _says(f"alice bids {output.number(price)} for 10 and waits")
    if await stage.alice.place("buy", 10, price, market) is None:
        return
    await asyncio.sleep(PAUSE_SECONDS)
    _says("bob sells her 4 of them, then 6: one trade, events for both")
    await stage.bob.place("sell", 4, price, market)
    await stage.bob.place("sell", 6, price, market)


async def _change_of_mind(stage: Stage) -> None:
    market = await stage.quote()
    bid, _ = _prices(market)
    price = max(bid - 5 * market.tick, market.tick)
    _says(f"alice bids low, {output.number(price)} for 20: her money is held")
    order = await stage.alice.place("buy", 20, price, market)
    if order is None:
        return
    await asyncio.sleep(PAUSE_SECONDS)
    _says("she cancels: it comes back")
    await stage.alice.client.orders.cancel(order.order_id)


async def _behind_her_back(stage: Stage) -> None:
    market = await stage.quote()
    bid, _ = _prices(market)
    await stage.alice.leave()
    _says(f"alice's socket is closed after event {stage.alice.seq}; meanwhile her 10 are sold, at {output.number(bid)}")
    await stage.alice.place("sell", 10, bid, market)
    await asyncio.sleep(PAUSE_SECONDS)
    _says(f"she connects again with since={stage.alice.seq}, and what she missed follows")
    await stage.alice.arrive()


async def _too_much(stage: Stage) -> None:
    market = await stage.quote()
    bid, _ = _prices(market)
    _says("bob wants a million contracts")
    await stage.bob.place("buy", 1_000_000, bid, market)


ACTS: Final[Sequence[Callable[[Stage], Awaitable[None]]]] = (
    _buy_from_the_house,
    _trade_with_each_other,
    _change_of_mind,
    _behind_her_back,
    _too_much,
)
