"""The demo on its stage: a temporary gateway, two traders, the acts in a loop, and the end."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Final

from rich.text import Text

from oddswire.cli import output
from oddswire.cli.check import findings_of
from oddswire.cli.interrupts import until_interrupted
from oddswire.cli.traders import ACTS, PAUSE_SECONDS, VENUE, Stage, Trader
from oddswire.client import Client, Cursor
from oddswire.server import logs
from oddswire.testing.gateway import RunningGateway, running_gateway
from oddswire.wire import bodies

MARKET: Final = "fed-cut-dec"
_CAST: Final = (("alice", "bold magenta"), ("bob", "bold blue"))


async def perform(seconds: float | None) -> bool:
    """Play until Ctrl-C or so many seconds have passed; return whether all was as it must be."""
    logs.set_up("error", as_json=False)
    # the libraries below have levels of their own, and the screen is the events' alone
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="oddswire-demo-") as folder:
        async with running_gateway(Path(folder)) as gateway, AsyncExitStack() as stack:
            _introduce(gateway.base_url)
            alice, bob = [await stack.enter_async_context(_trader(gateway, *who)) for who in _CAST]
            stage = Stage(alice, bob, lambda: _quote(alice.client))
            await until_interrupted(_play(stage, seconds))
            return await _conclude([alice, bob], gateway.database)


@asynccontextmanager
async def _trader(gateway: RunningGateway, name: str, colour: str) -> AsyncIterator[Trader]:
    """Yield a user who is signed in and listens, from the first event there ever was."""
    async with Client(base_url=gateway.base_url, app_id=gateway.app_id) as client:
        await client.sign_in(name, api_key=gateway.api_key, label="oddswire demo")
        client.cursor = Cursor(0, (await client.balances()).epoch)
        trader = Trader(name, colour, client)
        await trader.arrive()
        try:
            yield trader
        finally:
            await trader.leave()


async def _quote(client: Client) -> bodies.Market:
    page = await client.markets(venue=VENUE, limit=100)
    return next(market for market in page.data if market.market_id == MARKET)


async def _play(stage: Stage, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            for act in cycle(ACTS):
                await act(stage)
                await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError:
        return


def _introduce(url: str) -> None:
    output.show(Text.assemble(("Oddswire demo", "bold"), f"  a gateway of its own at {url}, on this machine only"))
    output.show(
        "alice and bob each hold a WebSocket open and trade on the paper venue, over REST, with no real money.\n"
        "A line is an event, printed the moment it came down that user's socket; what they do is marked ▸.\n"
        "Ctrl-C ends it.\n"
    )
    output.show(Text(f"{'time':<12}  {'user':<6} {'seq':>5}  {'event':<16} what it says", "bold underline"))


async def _conclude(traders: list[Trader], database: Path) -> bool:
    """Say how it ended; return whether all is as it must be."""
    table = output.table(
        None, ("user", "events", "of these kinds", "trading", "wallet"), ("events", "trading", "wallet")
    )
    faults: list[str] = []
    for trader in traders:
        # cut off behind alice's back, she still hears everything
        await trader.leave()
        await trader.arrive()
        balances = await trader.client.balances()
        await trader.seen(balances.seq)
        faults += trader.faults
        (balance,) = balances.balances
        kinds = "\n".join(f"{count:>3} {kind}" for kind, count in trader.told.most_common())
        money = output.dollars(balance.trading_balance_cents), output.dollars(balance.wallet_balance_cents)
        table.add_row(Text(trader.name, trader.colour), str(trader.told.total()), kinds, *money)
    findings = await findings_of(database)
    output.show("")
    output.show(table)
    faults += [f"{finding.where}: {finding.what}" for finding in findings]
    if not faults:
        said = (
            "Every event came once and in order; the books of gateway and venue agree (oddswire check: nothing found)."
        )
        output.show(Text(f"✓ {said}", "green"))
        call = output.program()
        output.show(f"Next: {call} serve --dev, and in another terminal {call} watch --user alice")
    for fault in faults:
        output.show(Text(f"✗ {fault}", "bold red"))
    return not faults
