"""Orders at the desk, in this process: two durable commits of ours and one of the venue's each, no HTTP."""

import asyncio
import time
from pathlib import Path

import msgspec

from oddswire.clock import SystemClock
from oddswire.orders.desk import Desk
from oddswire.orders.dispatch import Dispatch
from oddswire.store.queries import CORE
from oddswire.store.sqlite import SqliteStore
from oddswire.venues.paper import SCHEMA, PaperConfig, PaperVenue, load_markets
from oddswire.wire import bodies


def a_body(price: str) -> bodies.PlaceOrder:
    raw = '{"venue":"paper","marketId":"fed-cut-dec","outcomeId":"yes","side":"buy","size":1,"price":' + price + "}"
    return msgspec.json.decode(raw, type=bodies.PlaceOrder)


async def orders_a_second(folder: Path, seconds: float, price: str, callers: int = 64) -> float:
    """Place orders of 16 users for so long; return how many were answered a second."""
    store = await SqliteStore.open(folder / f"desk-{price}.db", [CORE, SCHEMA], exclusive=True)
    clock = SystemClock()
    venues = {"paper": PaperVenue(store, clock, PaperConfig(load_markets(), opening=10**15))}
    dispatch = Dispatch(store, venues, clock, "bench")
    desk = Desk(store, venues, clock, dispatch, 10)
    for n in range(16):
        await desk.open_user("demo", f"user-{n}")
    body, done, until = a_body(price), 0, time.perf_counter() + seconds

    async def call(n: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await desk.place("demo", f"user-{n % 16}", body)
            done += 1

    await asyncio.gather(*(call(n) for n in range(callers)))
    await desk.stop(5)
    await dispatch.stop()
    await store.close()
    return done / seconds
