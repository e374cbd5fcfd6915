"""Numbers that are read when somebody asks: unsettled orders, venues, sockets that ended, a store that fails."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import httpx
import pytest
import websockets

from oddswire.errors import Unavailable
from oddswire.orders.pulse import Pulse
from oddswire.server import readings
from oddswire.server.readings import Census
from oddswire.store.base import Store, Tx
from oddswire.store.queries import CORE
from oddswire.store.sqlite import SqliteStore
from oddswire.testing.gateway import running_gateway
from oddswire.testing.store_suite import add
from tests.auth.conftest import HandClock
from tests.server.test_admin import numbers

T = TypeVar("T")


class Answering:
    """A store that says what it is told to say."""

    def __init__(self, *rows: tuple[str, str, int, int]) -> None:
        self.rows = [readings.Unsettled(*row) for row in rows]
        self.fault: Exception | None = None
        self.asked = asyncio.Event()

    async def read(self, _unit: Callable[[Tx], T]) -> T:
        self.asked.set()
        if isinstance(self.fault, TimeoutError):
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        return cast("T", self.rows)


def a_census(store: Answering, clock: HandClock) -> Census:
    return Census(cast("Store", store), clock, {"paper": Pulse(0), "other": Pulse(0)})


async def test_unsettled_orders_are_counted_with_their_age() -> None:
    clock = HandClock()
    now = clock.now()
    census = a_census(
        Answering(
            ("paper", "pending", 2, now - 500), ("paper", "unconfirmed", 1, now - 61_000), ("gone", "pending", 1, now)
        ),
        clock,
    )
    assert census.counts() == {}
    await census.take()
    assert census.counts() == {
        **{("paper", "pending"): 2, ("paper", "unconfirmed"): 1, ("gone", "pending"): 1},
        **{("other", "pending"): 0, ("other", "unconfirmed"): 0},
    }
    assert census.ages() == {("paper",): 61.0, ("other",): 0.0, ("gone",): 0.0}


@pytest.mark.parametrize("fault", [Unavailable("store_unavailable", "No."), TimeoutError()])
async def test_what_cannot_be_counted_is_not_told(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "READ_SECONDS", 0.05)
    store = Answering(("paper", "pending", 2, 0))
    census = a_census(store, HandClock())
    await census.take()
    assert census.counts()
    store.fault = fault
    await census.take()
    assert (census.counts(), census.ages()) == ({}, {})


async def test_sockets_that_end_are_counted_by_code(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, httpx.AsyncClient(base_url=gateway.admin_url) as admin:
        async with websockets.connect(gateway.ws_url(token="nonsense")) as socket:
            await socket.wait_closed()
            refused = str(socket.close_code)
        async with websockets.connect(gateway.ws_url()) as socket:
            await socket.recv()
        async with asyncio.timeout(10):
            while (found := numbers((await admin.get("/metrics")).text)).get("oddswire_sockets_closed_total|1000") != 1:
                await asyncio.sleep(0.02)
        assert found[f"oddswire_sockets_closed_total|{refused}"] == 1
        assert found["oddswire_orders_unsettled|unconfirmed|paper"] == 0
        assert found["oddswire_orders_unsettled_oldest_seconds|paper"] == 0


async def test_what_could_not_be_stored_is_counted(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "oddswire.db", [CORE], exclusive=True)
    try:
        await store.write(add("ann"))
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(Unavailable):
            await store.write(add("x" * 100_000))
        assert store.failures == 1
        store._writer.execute("PRAGMA max_page_count=1000000")
        await store.write(add("bob"))
        with pytest.raises(RuntimeError):
            await store.write(fail)
        assert store.failures == 1
    finally:
        await store.close()
    with pytest.raises(Unavailable):
        await store.write(add("eve"))
    assert store.failures == 2


def fail(_: Tx) -> None:
    raise RuntimeError("a fault of the unit's own")
