import asyncio
from typing import Literal

import pytest

from oddswire.errors import OperatorError
from oddswire.venues.base import Account, VenueRejected, Wake
from oddswire.venues.paper import acts
from oddswire.venues.paper.acts import Unresolved, finish_resolution, resolve, set_status
from oddswire.venues.paper.config import load_markets
from tests.venues.paper.conftest import ONE, Pit

ANN, BOB = Account("app", "ann"), Account("app", "bob")


async def eventually(pit: Pit, account: Account, state: str) -> None:
    async with asyncio.timeout(5):
        while state not in [report.state for report in (await pit.venue.read(account, None)).orders]:
            await asyncio.sleep(0.01)


async def test_a_gtd_order_expires(pit: Pit) -> None:
    task = asyncio.create_task(pit.venue.run())
    await pit.place("ann", "buy", "yes", 0.5, 1, "gtd", expires_at=pit.clock.now() + 200)
    await eventually(pit, ANN, "expired")
    task.cancel()
    assert await pit.wallet("ann") == 1000 * ONE


async def test_an_order_past_its_expiry_does_not_trade_even_before_it_is_swept(pit: Pit) -> None:
    await pit.place("ann", "buy", "yes", 0.5, 1, "gtd", expires_at=pit.clock.now() + 50)
    async with asyncio.timeout(5):
        while not (await pit.place("bob", "buy", "no", 0.5, 0.01, "ioc")).orders[0].reason:
            await asyncio.sleep(0.01)


async def test_a_paused_market_takes_cancels_only(pit: Pit) -> None:
    placed = await pit.place("ann", "buy", "yes", 0.5, 1)
    await set_status(pit.store, pit.config, pit.clock, "app", "rain", "paused")
    with pytest.raises(VenueRejected) as refused:
        await pit.place("bob", "buy", "no", 0.5, 1)
    assert refused.value.code == "market_closed"
    await pit.venue.cancel(ANN, placed.orders[0].venue_order_id)
    await set_status(pit.store, pit.config, pit.clock, "app", "rain", "open")
    await pit.place("bob", "buy", "no", 0.5, 1)


@pytest.mark.parametrize("status", ["open", "paused"])
async def test_the_first_that_happens_to_a_market_may_be_a_pause_or_its_end(
    housed: Pit, status: Literal["open", "paused"]
) -> None:
    await set_status(housed.store, housed.config, housed.clock, "app", "rain", status)
    assert await housed.findings() == []
    await resolve(housed.store, housed.config, housed.clock, "other", "rain", "yes")


async def test_a_resolution_cancels_orders_and_pays_the_winners(pit: Pit) -> None:
    await pit.place("ann", "buy", "yes", 0.6, 10)
    await pit.place("bob", "buy", "no", 0.4, 8)
    done: list[int] = []
    assert await resolve(pit.store, pit.config, pit.clock, "app", "rain", "yes", done.append) == 2
    assert done == [1, 2]
    ann, bob = await pit.venue.read(ANN, None), await pit.venue.read(BOB, None)
    assert [(s.winner, s.payout) for s in ann.settlements] == [("yes", 8 * ONE)]
    assert [(s.winner, s.payout) for s in bob.settlements] == [("yes", 0)]
    assert [report.reason for report in ann.orders] == ["market_resolved"]
    assert (ann.wallet, bob.wallet) == (1003_200_000, 996_800_000)
    market = await pit.venue.market("app", "rain")
    assert market is not None
    assert (market.status, market.winner) == ("settled", "yes")
    assert await resolve(pit.store, pit.config, pit.clock, "app", "rain", "yes") == 0
    with pytest.raises(OperatorError):
        await resolve(pit.store, pit.config, pit.clock, "app", "rain", "no")
    with pytest.raises(OperatorError):
        await set_status(pit.store, pit.config, pit.clock, "app", "rain", "open")


async def test_a_resolution_cut_short_is_finished_by_the_venue(pit: Pit, monkeypatch: pytest.MonkeyPatch) -> None:
    await pit.place("ann", "buy", "yes", 0.6, 10)
    await pit.place("bob", "buy", "no", 0.4, 8)

    async def crash(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(acts, "finish_resolution", crash)
        with pytest.raises(KeyboardInterrupt):
            await resolve(pit.store, pit.config, pit.clock, "app", "rain", "no")
    assert await pit.findings() == []
    task = asyncio.create_task(pit.venue.run())
    async with asyncio.timeout(5):
        while not (await pit.venue.read(BOB, None)).settlements:
            await asyncio.sleep(0.01)
    task.cancel()
    assert await finish_resolution(pit.store, pit.config, pit.clock, Unresolved("app", "rain")) == 0


async def test_its_stream_wakes_whoever_was_touched(pit: Pit) -> None:
    wakes = pit.venue.wakes()
    assert await anext(wakes) == Wake()
    await pit.place("ann", "buy", "yes", 0.6, 1)
    await pit.place("bob", "buy", "no", 0.4, 1)
    said = [await asyncio.wait_for(anext(wakes), 2) for _ in range(3)]
    assert said == [Wake(ANN, 2), Wake(ANN, 3), Wake(BOB, 2)]
    await set_status(pit.store, pit.config, pit.clock, "app", "rain", "paused")
    assert await asyncio.wait_for(anext(wakes), 2) == Wake(markets=True)
    await wakes.aclose()  # type: ignore[attr-defined]  # an async generator, which the protocol does not promise


async def test_the_catalogue_that_comes_with_it_is_sound() -> None:
    markets = load_markets()
    assert len(markets) == 12
    assert {"fed-cut-dec", "btc-150k-year-end"} <= set(markets)
