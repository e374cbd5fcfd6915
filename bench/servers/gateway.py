"""The real gateway, as `oddswire serve --dev` makes it, with a line to the bench beside it.

`serve` itself is what runs: the bench only keeps hold of the gateway it made, to write events through its store.
"""

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import uvloop
from msgspec.structs import replace

from bench.control import obey, paced, say
from bench.servers.frame import event
from oddswire.config import Settings
from oddswire.events import encode
from oddswire.ids import epoch_of
from oddswire.server import app, logs
from oddswire.server.garbage import keep_collections_short
from oddswire.server.process import Address
from oddswire.store.base import Bell, Tx
from oddswire.streams import log
from oddswire.streams.hub import Hub
from oddswire.testing.gateway import UNLIMITED
from oddswire.wire.bodies import SignedIn

RICH = replace(UNLIMITED, paper_start_cents=10_000_000_000)
"""Nobody runs out of money."""
TOGETHER = 64
"""Users whose events share a commit, as those of 64 requests do in a busy gateway."""


class Rope:
    """Stands between the store's bells and the hub, and holds bells back while `held` is a list."""

    def __init__(self, hub: Hub) -> None:
        self.held: list[Sequence[Bell]] | None = None
        self.ring, self._poll = hub.ring, hub.poll
        # the hub listens with what it finds under its own names, at its start
        hub.ring, hub.poll = self._ring, self._maybe_poll

    def _ring(self, bells: Sequence[Bell]) -> None:
        if self.held is None:
            self.ring(bells)
        else:
            self.held.append(bells)

    async def _maybe_poll(self) -> None:
        if self.held is None:
            await self._poll()


class Hand:
    """Does in the gateway's own process what the bench asks for."""

    def __init__(self, gateway: app.Gateway, rope: Rope, database: Path) -> None:
        self._gateway = gateway
        self._rope = rope
        self._database = database
        self._streams: dict[str, list[int]] = {}

    async def users(self, prefix: str, count: int) -> str:
        """Sign so many users in, where an earlier process has not; return a file of their access tokens."""
        users = [f"{prefix}-{number}" for number in range(count)]
        file = self._database.with_name(f"{self._database.stem}-{prefix}.tokens")
        if not file.exists():
            signed: list[SignedIn] = []
            for start in range(0, count, 200):
                signed += await asyncio.gather(*(self._sign_in(user) for user in users[start : start + 200]))
            file.write_text("\n".join(one.access_token for one in signed))

        def unit(tx: Tx) -> list[int]:
            return [log.open_stream(tx, "demo", user, wall_ms()).stream_id for user in users]

        self._streams[prefix] = await self._gateway.store.write(unit)
        return str(file)

    async def _sign_in(self, user: str) -> SignedIn:
        """Do what `POST /auth/token` does."""
        signed = await self._gateway.authority.sign_in("demo", user)
        await self._gateway.desk.open_user("demo", user)
        return signed

    async def sample(self) -> str:
        """Return an event's bytes, for peers to push."""
        return encode(event(1, wall_ms())).decode()

    async def epoch(self, prefix: str) -> str:
        """Return the epoch of the first of those users' streams."""
        return epoch_of(self._gateway.store.history_id, self._streams[prefix][0])

    async def trace(self) -> None:
        """Remember from now on which line allocates what."""
        tracemalloc.start()

    async def traced(self, lines: int) -> list[dict[str, str | int]]:
        """Return the lines that hold the most of what was allocated since `trace`."""
        gc.collect()
        found = tracemalloc.take_snapshot().statistics("lineno")[:lines]
        return [{"where": str(one.traceback[0]), "bytes": one.size, "objects": one.count} for one in found]

    async def push(self, prefix: str, waves: int, gap: float) -> None:
        """Commit one event for each of those users, wave after wave."""
        await paced(waves, gap, lambda: self._wave(prefix, 1))

    async def hold(self, prefix: str, waves: int) -> None:
        """Commit such waves, and hold their bells back."""
        self._rope.held = []
        for _ in range(waves):
            await self._wave(prefix, 1)

    async def let_go(self, waves: int, gap: float) -> None:
        """Ring what is held, in as many waves as it was committed in: the push alone, without its commits."""
        held, self._rope.held = self._rope.held or [], None
        each = iter(held)

        def wave() -> None:
            for bells in islice(each, len(held) // waves):
                self._rope.ring(bells)

        await paced(waves, gap, wave)

    async def fill(self, prefix: str, events: int, first: int = 0, count: int | None = None) -> None:
        """Commit so many events for each of those users (the `count` from `first` on), 256 of one user a commit."""
        streams = self._streams[prefix]
        for at in range(first, len(streams) if count is None else first + count):
            for start in range(0, events, log.PAGE_EVENTS):
                await self._append(prefix, [at], min(log.PAGE_EVENTS, events - start))

    async def _wave(self, prefix: str, events: int) -> None:
        count = len(self._streams[prefix])
        for start in range(0, count, TOGETHER):
            await self._append(prefix, range(start, min(count, start + TOGETHER)), events)

    async def _append(self, prefix: str, places: Sequence[int], events: int) -> None:
        streams, history = self._streams[prefix], self._gateway.store.history_id

        def unit(tx: Tx) -> None:
            for place in places:
                stream = log.by_id(tx, streams[place])
                assert stream is not None
                now = max(wall_ms(), stream.last_timestamp)
                log.append(tx, history, stream, [event(stream.head + n, now) for n in range(1, events + 1)])

        await self._gateway.store.write(unit)


def wall_ms() -> int:
    """Return the wall clock in ms."""
    return time.time_ns() // 1_000_000


async def main(database: Path) -> None:
    made: list[tuple[app.Gateway, Rope]] = []
    open_gateway = app.open_gateway

    async def opening(settings: Settings, database: Path, *, dev: bool) -> app.Gateway:
        gateway = await open_gateway(settings, database, dev=dev)
        made.append((gateway, Rope(gateway.hub)))
        return gateway

    app.open_gateway = opening
    stop = asyncio.Event()
    ready: asyncio.Future[Address] = asyncio.get_running_loop().create_future()

    def is_ready(address: Address) -> None:
        keep_collections_short()
        ready.set_result(address)

    serving = asyncio.create_task(
        app.serve(
            RICH,
            host="127.0.0.1",
            port=0,
            admin=None,
            database=database,
            dev=True,
            ready=is_ready,
            stop=stop,
        )
    )
    await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
    address: Address = ready.result() if ready.done() else serving.result()
    hand = Hand(*made[0], database)
    say({"port": address.api.port})
    names = ("users", "sample", "epoch", "push", "hold", "let_go", "fill", "trace", "traced")
    await obey({name: getattr(hand, name) for name in names})
    stop.set()
    await serving


if __name__ == "__main__":
    logs.set_up("error", False)
    uvloop.run(main(Path(sys.argv[1])))
