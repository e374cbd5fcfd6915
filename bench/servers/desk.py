"""The desk in a process of its own, without HTTP: two durable commits of ours and one of the venue's an order."""

import asyncio
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from bench.control import obey, say
from oddswire.clock import SystemClock
from oddswire.orders.desk import Desk
from oddswire.orders.dispatch import Dispatch
from oddswire.store.sqlite import CORE, SqliteStore, share_the_interpreter
from oddswire.venues.paper import SCHEMA, PaperConfig, PaperVenue, load_markets
from oddswire.wire import bodies

USERS = 16


async def main(database: Path) -> None:
    share_the_interpreter()
    store = await SqliteStore.open(database, [CORE, SCHEMA], exclusive=True)
    clock = SystemClock()
    venues = {"paper": PaperVenue(store, clock, PaperConfig(load_markets(), opening=10**15))}
    dispatch = Dispatch(store, venues, clock, "bench", 10)
    desk = Desk(store, venues, clock, dispatch)
    for number in range(USERS):
        await desk.open_user("demo", f"user-{number}")

    async def place(price: str, seconds: float, callers: int) -> float:
        """Place orders for so long; return how many were answered a second."""
        raw = '{"venue":"paper","marketId":"fed-cut-dec","outcomeId":"yes","side":"buy","size":1,"price":' + price + "}"
        body, done, started = msgspec.json.decode(raw, type=bodies.PlaceOrder), 0, time.perf_counter()

        async def call(number: int) -> None:
            nonlocal done
            while time.perf_counter() < started + seconds:
                await desk.place("demo", f"user-{number % USERS}", body)
                done += 1

        await asyncio.gather(*(call(number) for number in range(callers)))
        return done / (time.perf_counter() - started)

    say({"port": 0})
    await obey({"place": place})
    await desk.stop(5)
    await dispatch.stop()
    await store.close()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
