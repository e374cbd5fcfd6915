"""Whatever people do, the books balance: money is conserved, YES = NO = collateral, nobody is below zero."""

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from oddswire.venues.base import Account, VenueRejected
from oddswire.venues.paper import PaperConfig
from oddswire.venues.paper.acts import resolve, set_status
from tests.venues.paper.conftest import RAIN, Pit, open_pit

USERS = ("ann", "bob", "cy")


async def act(pit: Pit, chance: random.Random) -> None:
    user = chance.choice(USERS)
    what = chance.random()
    if what < 0.75:
        await pit.place(
            user,
            chance.choice(("buy", "buy", "sell")),
            chance.choice(("yes", "no")),
            chance.randint(40, 60) / 100,
            chance.randint(1, 3000) / 100,
            chance.choice(("gtc", "gtc", "ioc", "fok")),
            post_only=chance.random() < 0.1,
        )
    elif what < 0.95:
        orders = [one for one in (await pit.venue.read(Account("app", user), None)).orders if one.state == "open"]
        if orders:
            await pit.venue.cancel(Account("app", user), chance.choice(orders).venue_order_id)
    else:
        await set_status(pit.store, pit.config, pit.clock, "app", "rain", chance.choice(("open", "open", "paused")))


@pytest.mark.parametrize("seed", range(6))
async def test_random_trading_keeps_every_invariant(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    fee = chance.choice((0, 0, 20_000))
    config = PaperConfig({"rain": RAIN}, fee=fee, house_levels=chance.choice((0, 2)), house_size=20_000_000)
    pit = await open_pit(tmp_path / "p.db", config)
    filled = refused = 0
    for _ in range(150):
        try:
            await act(pit, chance)
        except VenueRejected:
            refused += 1
        assert await pit.findings() == []
    for user in USERS:
        filled += len((await pit.venue.read(Account("app", user), None)).fills)
    assert refused < 100
    assert filled > 10, "this seed traded too little to mean anything"
    await asyncio.gather(*(act_quietly(pit, random.Random(seed * 100 + n)) for n in range(60)))
    assert await pit.findings() == []
    await resolve(pit.store, pit.config, pit.clock, "app", "rain", chance.choice(("yes", "no")))
    assert await pit.findings() == []
    for user in USERS:
        told = await pit.venue.read(Account("app", user), None)
        assert "open" not in [report.state for report in told.orders]
    await pit.store.close()


async def act_quietly(pit: Pit, chance: random.Random) -> None:
    with contextlib.suppress(VenueRejected):
        await act(pit, chance)
